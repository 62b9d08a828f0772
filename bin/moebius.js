#!/usr/bin/env node
// Starts the command line: from its source in a checkout, which is never older than itself; else from what was built.
import { existsSync } from 'node:fs';

const source = new URL('../src/cli/moebius.js', import.meta.url);
await import(existsSync(source) ? source.href : '../dist/cli/main.js');
