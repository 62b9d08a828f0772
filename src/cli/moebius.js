#!/usr/bin/env node
// Starts the command line from its TypeScript source; tsx strips the types on the way.
import { register } from 'tsx/esm/api';

register();
await import('./main.ts');
