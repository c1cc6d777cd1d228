#!/usr/bin/env -S node --min-semi-space-size=8 --max-semi-space-size=8 --no-allocation-site-pretenuring --no-memory-reducer --heap-growing-percent=100 --no-flush-bytecode
// A bridge allocates much that lives for as long as a message is under way, and next to nothing that stays. V8 left to itself
// takes the one for the other, now and then: it collects all of the heap several times a second, and a bridge takes twice the
// processor time from then on (profiled). So the young generation has a fixed size; nothing is allocated in the old one because
// what its code made before had lived; an idle process does not shrink its heap, so that it need not find its size again; the heap may
// double between two full collections; and code that was not run for a while need not be compiled again.
import '../dist/tombolo.js';
