/** On a terminal: what Ctrl-C and other signals leave behind. */
import { execFile, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { commandPath, scratchFolder } from './spawn.ts';

/** Node has no pseudo-terminals; Python's standard library has. */
const PTY = `
import json, os, pty, re, select, signal, sys
mark, end, command = sys.argv[1].encode(), sys.argv[2], sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm-256color'
    os.environ.pop('CI', None)
    os.environ.pop('NO_COLOR', None)
    os.execvp(command[0], command)
import fcntl, struct, termios
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
out, sent = b'', False
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    out += data
    if not sent and re.search(mark, out):
        sent = True
        if end == 'key':
            os.write(fd, b'\\x03')
        elif end != 'none':
            os.kill(pid, getattr(signal, end))
_, status = os.waitpid(pid, 0)
print(json.dumps({
    'seen': sent,
    'signal': os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
    'code': os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
    'hidden': out.count(b'\\x1b[?25l'), 'shown': out.count(b'\\x1b[?25h'),
    'text': out.decode('utf8', 'replace'),
}))
`;

interface Session {
  /** Whether the mark was seen, after which the process was ended. */
  readonly seen: boolean;
  readonly signal: number;
  readonly code: number;
  readonly hidden: number;
  readonly shown: number;
  readonly text: string;
}

async function onTerminal(mark: string, end: string, ...args: string[]): Promise<Session> {
  const command = ['-c', PTY, mark, end, process.execPath, commandPath(), ...args];
  const { stdout } = await promisify(execFile)('python3', command, { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout) as Session;
}

const hasPython = spawnSync('python3', ['-c', 'import pty']).status === 0;
const needsPython = hasPython ? describe : describe.skip;
if (!hasPython) console.warn('SKIPPED: tests of the terminal need python3, which is not installed here.');

needsPython('a process that is ended', () => {
  test.each<[string, number, string, ...string[]]>([
    ['key', 2, 'Check kernels', 'validate', '--quick'],
    ['SIGINT', 2, 'Check kernels', 'validate', '--family', 'matmul'],
    ['SIGTERM', 15, 'Check kernels', 'validate', '--quick'],
    ['SIGHUP', 1, 'matmul: 500 random', 'validate', '--fuzz', '500', '--family', 'matmul'],
    ['SIGKILL', 9, 'Check kernels', 'validate', '--quick'],
    ['key', 2, 'M=1 N=64', 'tune', '--family', 'gemm'],
  ])('by %s (%i) leaves the cursor as it was', async (end, signal, mark, ...args) => {
    const folder = await scratchFolder();
    const cache = join(folder, 'cache.json');
    const shapes = join(folder, 'shapes.json');
    const of = (M: number): object => ({ op: 'matmul', dims: { M, N: 64, K: 64 } });
    await writeFile(shapes, JSON.stringify([of(2), of(1), of(3)]));
    const more = args[0] === 'tune' ? ['--cache', cache, '--shapes', shapes, '--budget', '60s'] : [];
    const { seen, hidden, shown, ...how } = await onTerminal(mark, end, ...args, ...more);
    // Called off by Ctrl-C it ends by itself, as a shell tells it.
    const calledOff = signal === 2;
    expect({ seen, ...how }).toMatchObject({
      seen: true,
      ...(calledOff ? { signal: 0, code: 130 } : { signal }),
    });
    expect(hidden).toBe(shown);
    // The shape that was finished before it is kept.
    if (args[0] === 'tune') {
      const kept = JSON.parse(await readFile(cache, 'utf8')) as { points: { subject: { dims: object } }[] };
      expect(kept.points.map(({ subject }) => subject.dims)).toEqual([{ M: 2, N: 64, K: 64 }]);
    }
  });

  test('or ends by itself, with an error or without, as well', async () => {
    const [good, bad] = await Promise.all([
      onTerminal('never', 'none', 'validate', '--family', 'rope', '--quick'),
      onTerminal('never', 'none', 'validate', '--adapter', 'nosuch'),
    ]);
    expect([good.code, good.hidden - good.shown]).toEqual([0, 0]);
    expect(good.text).toMatch(/✔\S* Check kernels against float64 on .*: all pass/);
    expect([bad.code, bad.hidden - bad.shown]).toEqual([2, 0]);
  });
});
