#!/usr/bin/env -S node --min-semi-space-size=16 --max-semi-space-size=16
// V8's young generation has a fixed size here. Left to itself it is 1 to 16 MiB, as start-up and idle times will have it; where it
// is small, messages that wait for a confirm outlive it, and their bytes are only freed by full collections, several a second. That
// took more processor time than everything else a bridge does (profiled: 49 % of the sink's), and 60 MiB.
import '../dist/tombolo.js';
