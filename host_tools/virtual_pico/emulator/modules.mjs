// What is attached to a chip each time it comes out of reset, in this order.

export const MODULES = [];
