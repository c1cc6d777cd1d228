#!/usr/bin/env node
import '../dist/tombolo.js';
