import type { Command } from 'commander';
export function addValidate(program: Command): Command { return program.command('validate'); }
