import { after, before, describe, test } from 'node:test';
import type { Environment } from '../support/environments/environment';
import { badInput } from './bad_input';
import { clock } from './clock';
import { faults } from './faults';
import { life } from './life';
import { perform, type Scenario, Services } from './scenario';
import { steps } from './steps';
import { transports } from './transports';

/** They mostly wait: some at a time. */
const AT_A_TIME = 6;

const ALL: readonly Scenario[] = [...transports, ...steps, ...faults, ...life, ...badInput, ...clock];

/** The scenarios, with the library in that environment and the real service. */
export function performAll(where: Environment, scenarios = ALL): void {
  describe(`in ${where.name}`, { concurrency: AT_A_TIME }, () => {
    const services = new Services();
    before(async () => {
      await Promise.all([services.get(), where.open()]);
    });
    after(async () => {
      await where.close();
      await services.down();
    });
    for (const scenario of scenarios) {
      if (scenario.where?.(where) === false) continue;
      test(scenario.name, (t) => perform(scenario, where, services, t));
    }
  });
}
