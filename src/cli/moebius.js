// Starts the command line from its TypeScript source.
import './typescript.js';

await import('./main.ts');
