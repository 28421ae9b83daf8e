"""Boards, motors and drive units; `boards.virtual` holds the plant that stands in for hardware."""
