/** What a driver says of a kernel that it compiled, in the words of one table. */

export interface Statistics {
  /** Registers of a lane. */
  readonly registers: number;
  /** Values that were spilled. */
  readonly spills: number;
  /** Bytes of scratch memory: of a wave (AMD), of a thread (NVIDIA), else as the driver says. */
  readonly scratchBytes: number;
  /** AMD: waves per SIMD. NVIDIA: warps per quarter of an SM. Intel: lanes of a thread. Apple: threads of a core. */
  readonly occupancy: number;
  /** Bytes of workgroup storage, where they are told. */
  readonly storageBytes?: number;
  readonly instructions?: number;
  /** Lanes of a wave. */
  readonly wave: number;
  /** AMD: ACO's own estimates of cycles, loops weighted by their depth. */
  readonly latency?: number;
  readonly inverseThroughput?: number;
}

/** Of the text that the layer writes: a name, a tab and a number per line; the first part of a pipeline counts. */
export function statisticsOf(text: string): Statistics | undefined {
  const all = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, value] = line.split('\t');
    if (name !== undefined && value !== undefined && !all.has(name)) all.set(name, Number(value));
  }
  const of = (name: string): number => all.get(name) ?? 0;
  const wave = of('Subgroup size');
  if (all.has('VGPRs')) {
    return {
      ...{ registers: of('VGPRs'), spills: of('Spilled VGPRs') + of('Spilled SGPRs'), wave },
      ...{ scratchBytes: of('Scratch size'), occupancy: of('Subgroups per SIMD') },
      ...{ storageBytes: of('LDS size'), instructions: of('Instructions') },
      ...{ latency: of('Latency'), inverseThroughput: of('Inverse Throughput') },
    };
  }
  if (all.has('Max warps/SM')) {
    return {
      ...{ registers: of('Number of GPRs'), spills: of('Spills to memory'), wave },
      ...{ scratchBytes: of('SLM size'), occupancy: of('Max warps/SM') / 4 },
      instructions: of('Instruction count'),
    };
  }
  if (all.has('Max dispatch width')) {
    return {
      ...{ registers: of('Max live registers'), spills: of('Spills'), wave },
      ...{ scratchBytes: of('Scratch Memory Size'), occupancy: of('Max dispatch width') },
      instructions: of('Instruction Count'),
    };
  }
  if (all.has('GPRs')) {
    return {
      ...{ registers: of('GPRs'), spills: of('Spills'), wave },
      ...{ scratchBytes: of('Scratch'), occupancy: of('Threads') },
      instructions: of('Instrs'),
    };
  }
  return undefined;
}

/** Whether a kernel keeps in memory what belongs into registers. */
export const spillsOf = ({ spills, scratchBytes }: Statistics): boolean => spills > 0 || scratchBytes > 0;
