import type { Clock, Timing } from './clock';
import type { Ending, TransportName } from './transports/transport';

/** The higher, the fewer requests. A step down never costs more than some delay, so it is taken lightly. */
export const LEVEL: Record<TransportName, number> = { websocket: 2, sse: 2, longpoll: 1, polling: 0 };
/** Sessions cut short, one after another, that make a transport a bad one. */
const MAX_CUT = 2;
/** A request that ends sooner was not held, in milliseconds. */
const HELD = 1_000;
const MAX_REST = 600_000;

interface Rung {
  readonly name: TransportName;
  readonly level: number;
  cut: number;
  falls: number;
  /** Left alone until then. */
  rests: number;
}

/** Which transport is next: down when one does not work here, up again after a rest. */
export class Ladder {
  private readonly rungs: Rung[];
  private chosen: Rung;

  /** @param names those that may be used; the first is the one to begin with */
  constructor(
    names: [TransportName, ...TransportName[]],
    private readonly clock: Clock,
    private readonly timing: Timing,
  ) {
    const [first, ...others] = names.map((name) => ({ name, level: LEVEL[name], cut: 0, falls: 0, rests: 0 }));
    this.chosen = first as Rung;
    this.rungs = [this.chosen, ...others];
  }

  get current(): TransportName {
    return this.chosen.name;
  }

  /** The screen is shown: from the first rung again, and what is above it only if the payer waits for long. */
  begin(): void {
    const [first] = this.rungs as [Rung];
    const now = this.clock.now();
    if (first.rests <= now) this.chosen = first;
    for (const rung of this.rungs) {
      if (rung.level > first.level) rung.rests = Math.max(rung.rests, now + this.timing.settle);
    }
  }

  /** Learns from a session of `lived` milliseconds; returns whether it stepped down. */
  learn(ending: Ending, lived: number): boolean {
    const rung = this.chosen;
    const { kind } = ending;
    if (ending.kind === 'answered') {
      if (ending.held && lived >= HELD) rung.cut = 0; // a quick answer, however slow, says nothing of held ones
      this.climb();
    } else if (kind === 'broken' && rung.level === 2) {
      return this.fall();
    } else if ((kind === 'broken' && rung.level && lived >= HELD) || kind === 'over') {
      rung.cut = lived < this.timing.steady || rung.level < 2 ? rung.cut + 1 : 0;
      if (!rung.cut) rung.falls = 0;
      if (rung.cut >= MAX_CUT) return this.fall();
    }
    return false;
  }

  private fall(): boolean {
    const rung = this.chosen;
    const now = this.clock.now();
    rung.cut = 0;
    rung.rests = now + Math.min(MAX_REST, this.timing.rest * 2 ** rung.falls++);
    const lower = this.rungs.filter((other) => other.level < rung.level);
    const others = lower.length ? lower : this.rungs.filter((other) => other !== rung && other.rests <= now);
    this.chosen = others.sort((one, two) => two.level - one.level)[0] || rung;
    return this.chosen !== rung;
  }

  private climb(): void {
    const now = this.clock.now();
    const higher = this.rungs.filter(({ level, rests }) => level > this.chosen.level && rests <= now);
    this.chosen = higher.sort((one, two) => one.level - two.level)[0] || this.chosen;
  }
}
