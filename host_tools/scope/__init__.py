"""`eesm scope`: a live oscilloscope of one drive, served to browsers on this computer.

One thread (`keeper`) has the drive: it keeps the stream as the pages want it and finds the drive
again after it was gone.  The web side (`app`) gets finished batches and sends them to each page
(`hub`), dropping for a page that is too slow, never for the log.  Stop has a way of its own.
"""
