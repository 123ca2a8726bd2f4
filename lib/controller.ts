// The verbs that are made of other verbs, for whatever has those.

import { apply, plan } from './apply.js'
import { drainDestination, drainService, listDrains } from './drain.js'
import { restoreRules, restoreRulesFromFile, saveRules, saveRulesToFile } from './rules.js'
import { overrideTimeouts } from './timeouts.js'
import { watch } from './watch.js'
import type { Applied, DesiredStateOptions, Plan, VirtualServer } from '../types/desired.js'
import type { DestinationKey } from '../types/destination.js'
import type { DrainEntry, DrainOptions, DrainResult } from '../types/drain.js'
import type { CallOptions, Ipvs } from '../types/ipvs.js'
import type { RestoreOptions } from '../types/rules.js'
import type { ServiceKey } from '../types/service.js'
import type { TimeoutOverride, Timeouts } from '../types/sync.js'
import type { TableChange, WatchOptions } from '../types/watch.js'

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

  async drainDestination(
    this: Ipvs,
    key: ServiceKey,
    destinationKey: DestinationKey,
    options?: DrainOptions,
  ): Promise<DrainResult> {
    return drainDestination(this, key, destinationKey, options)
  }

  async drainService(this: Ipvs, key: ServiceKey, options?: DrainOptions): Promise<DrainResult> {
    return drainService(this, key, options)
  }

  async listDrains(this: Ipvs, options?: CallOptions): Promise<DrainEntry[]> {
    return listDrains(this, options)
  }

  // The overloads of the interface say which of the two a caller gets.
  watch(this: Ipvs, options?: WatchOptions): AsyncGenerator<TableChange<never>, void, void> {
    return watch(this, options) as AsyncGenerator<TableChange<never>, void, void>
  }
}
