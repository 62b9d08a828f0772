/** What the cores of this machine have done, as the system counts it. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { NS_PER_MS } from '../../core/units.ts';
import type { CpuTimes } from '../platform.ts';

/** Linux counts in hundredths of a second, whatever the kernel's own tick is. */
const NS_PER_TICK = 1e7;

export function cpuTimes(): CpuTimes | undefined {
  const cores = cpus();
  if (cores.length === 0) return undefined;
  const stealNs = stealOf();
  const { user, system } = process.cpuUsage();
  let [busy, idle] = [0, 0];
  for (const { times } of cores) {
    busy += times.user + times.nice + times.sys + times.irq;
    idle += times.idle;
  }
  const busyNs = busy * NS_PER_MS;
  const totalNs = busyNs + idle * NS_PER_MS + (stealNs ?? 0);
  const loadAverage = process.platform === 'win32' ? undefined : (loadavg() as [number, number, number]);
  return { cores: cores.length, totalNs, busyNs, ownNs: (user + system) * 1e3, stealNs, loadAverage };
}

/** The eighth number of the first line of /proc/stat; undefined where there is none. */
function stealOf(): number | undefined {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
    const ticks = Number(line.trim().split(/\s+/)[8]);
    return Number.isFinite(ticks) ? ticks * NS_PER_TICK : undefined;
  } catch {
    return undefined;
  }
}
