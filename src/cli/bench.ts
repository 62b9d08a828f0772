import type { Command } from 'commander';
export function addBench(program: Command): Command { return program.command('bench'); }
