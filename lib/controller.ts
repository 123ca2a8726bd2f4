// The verbs that are made of other verbs, for whatever has those.

import { apply, plan } from './apply.js'
import { restoreRules, restoreRulesFromFile, saveRules, saveRulesToFile } from './rules.js'
import { overrideTimeouts } from './timeouts.js'
import type { Applied, DesiredStateOptions, Plan, VirtualServer } from '../types/desired.js'
import type { CallOptions, Ipvs } from '../types/ipvs.js'
import type { RestoreOptions } from '../types/rules.js'
import type { TimeoutOverride, Timeouts } from '../types/sync.js'

export abstract class Controller {
  async plan(
    this: Ipvs,
    desired: readonly VirtualServer[],
    options?: DesiredStateOptions,
  ): Promise<Plan> {
    return plan(this, desired, options)
  }

  async apply(
    this: Ipvs,
    desired: readonly VirtualServer[],
    options?: DesiredStateOptions,
  ): Promise<Applied> {
    return apply(this, desired, options)
  }

  async save(this: Ipvs, options?: CallOptions): Promise<string> {
    return saveRules(this, options)
  }

  async restore(this: Ipvs, text: string, options?: RestoreOptions): Promise<void> {
    return restoreRules(this, text, options)
  }

  async saveToFile(this: Ipvs, path: string, options?: CallOptions): Promise<void> {
    return saveRulesToFile(this, path, options)
  }

  async restoreFromFile(this: Ipvs, path: string, options?: RestoreOptions): Promise<void> {
    return restoreRulesFromFile(this, path, options)
  }

  async overrideTimeouts(
    this: Ipvs,
    timeouts: Partial<Timeouts>,
    options?: CallOptions,
  ): Promise<TimeoutOverride> {
    return overrideTimeouts(this, timeouts, options)
  }
}
