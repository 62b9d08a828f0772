// A thread of a checkout: it learns to read TypeScript, then becomes the module that it was started for.
import { workerData } from 'node:worker_threads';
import '../typescript.js';

await import(workerData.module);
