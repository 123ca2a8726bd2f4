// The verbs that are made of other verbs, for whatever has those.

import { apply, plan } from './apply.js'
import { overrideTimeouts } from './timeouts.js'
import type { Applied, DesiredStateOptions, Plan, VirtualServer } from '../types/desired.js'
import type { CallOptions, Ipvs } from '../types/ipvs.js'
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

  async overrideTimeouts(
    this: Ipvs,
    timeouts: Partial<Timeouts>,
    options?: CallOptions,
  ): Promise<TimeoutOverride> {
    return overrideTimeouts(this, timeouts, options)
  }
}
