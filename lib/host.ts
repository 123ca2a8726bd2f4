// The public verbs of a machine around IPVS.

import { createHash } from 'node:crypto'

import { arpSuppression, suppressArp } from './arp.js'
import { listAddresses } from './addresses.js'
import { diagnose, takeQuestion } from './diagnosis.js'
import { directorSteps } from './director.js'
import { abortError } from './errors.js'
import { Handle, takeOpenOptions, withSignal } from './handle.js'
import { listLinks } from './link.js'
import { loadAddon } from './native.js'
import { persist, takePath } from './persist.js'
import { realServerSteps } from './real-server.js'
import { ipvsSettings, setIpvsSettings, takeIpvsSettingChanges } from './settings.js'
import { readSetting, takeSettingName, takeSettingValue, writeSetting } from './sysctl.js'
import { prepare } from './trail.js'
import type { Step } from './trail.js'
import {
  orDefault,
  signalOf,
  takeBoolean,
  takeDevice,
  takeList,
  takeOneOf,
  takeOptions,
} from './validate.js'
import { addVip, addVips, deleteVip, deleteVips, takeDeletedVip, takeVip, takeVips } from './vip.js'
import type { HostConnection } from '../types/addon.js'
import type { Diagnosis, DiagnosisProfile } from '../types/diagnosis.js'
import type {
  ArpState,
  DeletedVip,
  ForwardOptions,
  Host,
  HostAddress,
  VipConfig,
} from '../types/host.js'
import type { CallOptions, OpenOptions } from '../types/ipvs.js'
import type { HostLink } from '../types/link.js'
import type { DirectorProfile, Preparation, RealServerProfile } from '../types/profile.js'
import type { IpvsSettingChanges, IpvsSettings, PersistedSettings } from '../types/settings.js'

const forwardSettings = {
  ipv4: ['ipv4', 'ip_forward'],
  ipv6: ['ipv6', 'conf', 'all', 'forwarding'],
} as const

/** `all` is suppressed in any case, and may be named. */
const takeArpDevice = (value: unknown, path: string): string =>
  value === 'all' ? value : takeDevice(value, path)

class HostHandle implements Host {
  readonly #handle: Handle<HostConnection>
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: unknown) {
    const { netns, timeout } = takeOpenOptions(options)
    const connect = (): HostConnection => new (loadAddon().HostConnection)(netns, timeout)
    this.#handle = new Handle('host', netns, connect)
  }

  async open(): Promise<this> {
    await this.#handle.open()
    return this
  }

  async getSysctl(name: string, options?: CallOptions): Promise<string> {
    const setting = takeSettingName(name, 'name')
    return this.#call('getSysctl', options, (native) => readSetting(native, setting))
  }

  async setSysctl(
    name: string,
    value: string | number | boolean,
    options?: CallOptions,
  ): Promise<void> {
    const setting = takeSettingName(name, 'name')
    const text = takeSettingValue(value, 'value')
    return this.#call('setSysctl', options, (native) => writeSetting(native, setting, text))
  }

  async ipForward(on?: boolean | ForwardOptions, options?: ForwardOptions): Promise<boolean> {
    const isOptions = typeof on === 'object'
    const given = takeOptions(isOptions ? on : options, ['family'])
    const family = takeOneOf(orDefault(given['family'], 'ipv4'), 'options.family', ['ipv4', 'ipv6'])
    const wanted = isOptions || on === undefined ? undefined : takeBoolean(on, 'on')
    const setting = forwardSettings[family]
    return this.#call('ipForward', { signal: signalOf(given) }, async (native) => {
      if (wanted === undefined) return (await readSetting(native, setting)) !== '0'
      await writeSetting(native, setting, wanted ? '1' : '0')
      return wanted
    })
  }

  async ipvsSettings(options?: CallOptions): Promise<IpvsSettings> {
    return this.#call('ipvsSettings', options, ipvsSettings)
  }

  async setIpvsSettings(changes: IpvsSettingChanges, options?: CallOptions): Promise<IpvsSettings> {
    const checked = takeIpvsSettingChanges(changes)
    return this.#call('setIpvsSettings', options, (native) => setIpvsSettings(native, checked))
  }

  async listAddresses(device?: string, options?: CallOptions): Promise<HostAddress[]> {
    const name = device === undefined ? undefined : takeDevice(device, 'device')
    return this.#call('listAddresses', options, (native) => listAddresses(native, name))
  }

  async listLinks(options?: CallOptions): Promise<HostLink[]> {
    return this.#call('listLinks', options, listLinks)
  }

  addVip(vip: VipConfig, options?: CallOptions): Promise<HostAddress>
  addVip(vips: readonly VipConfig[], options?: CallOptions): Promise<HostAddress[]>
  async addVip(
    vip: VipConfig | readonly VipConfig[],
    options?: CallOptions,
  ): Promise<HostAddress | HostAddress[]> {
    if (Array.isArray(vip)) {
      const vips = takeVips(vip, 'vip', takeVip)
      return this.#call('addVip', options, (native) => addVips(native, vips))
    }
    const one = takeVip(vip, 'vip')
    return this.#call('addVip', options, (native) => addVip(native, one))
  }

  async deleteVip(vip: DeletedVip | readonly DeletedVip[], options?: CallOptions): Promise<void> {
    if (Array.isArray(vip)) {
      const vips = takeVips(vip, 'vip', takeDeletedVip)
      return this.#call('deleteVip', options, (native) => deleteVips(native, vips))
    }
    const one = takeDeletedVip(vip, 'vip')
    return this.#call('deleteVip', options, (native) => deleteVip(native, one))
  }

  async arpSuppression(
    devices: string | readonly string[],
    options?: CallOptions,
  ): Promise<ArpState[]> {
    const names = takeList(devices, 'devices', takeArpDevice)
    return this.#call('arpSuppression', options, (native) => arpSuppression(native, names))
  }

  async suppressArp(
    devices: string | readonly string[],
    options?: CallOptions,
  ): Promise<ArpState[]> {
    const names = takeList(devices, 'devices', takeArpDevice)
    return this.#call('suppressArp', options, (native) => suppressArp(native, names))
  }

  async prepareDirector(profile: DirectorProfile, options?: CallOptions): Promise<Preparation> {
    return this.#prepare('prepareDirector', profile, directorSteps(profile), options)
  }

  async prepareRealServer(profile: RealServerProfile, options?: CallOptions): Promise<Preparation> {
    return this.#prepare('prepareRealServer', profile, realServerSteps(profile), options)
  }

  async persist(path?: string, options?: CallOptions): Promise<PersistedSettings> {
    const file = takePath(path)
    return this.#call('persist', options, (native) => persist(native, file))
  }

  async diagnose(profile: DiagnosisProfile, options?: CallOptions): Promise<Diagnosis> {
    const question = takeQuestion(profile)
    return this.#call('diagnose', options, (native) => diagnose(native, question))
  }

  async close(): Promise<void> {
    return this.#handle.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #prepare(
    what: string,
    profile: DirectorProfile | RealServerProfile,
    steps: readonly Step[],
    options: unknown,
  ): Promise<Preparation> {
    const signal = signalOf(takeOptions(options))
    // Short, since it is kept for as long as the handle.
    const question = `${what} ${JSON.stringify(profile)}`
    const preparation = createHash('sha256').update(question).digest('base64')
    // Not let go of when it is aborted: it puts back first what it has changed.
    return this.#turn(what, signal, (native) =>
      prepare(
        native,
        steps,
        preparation,
        (later, work) => this.#turn(later, undefined, work),
        signal,
      ),
    )
  }

  async #call<T>(
    what: string,
    options: unknown,
    work: (native: HostConnection) => Promise<T>,
  ): Promise<T> {
    const signal = signalOf(takeOptions(options))
    let sent = false
    const turn = this.#turn(what, signal, (native) => {
      sent = true
      return work(native)
    })
    return withSignal(turn, signal, () => sent)
  }

  /** The calls of a handle are carried out one after the other, in the order in which they came. */
  async #turn<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (native: HostConnection) => Promise<T>,
  ): Promise<T> {
    this.#handle.checkOpen(what)
    if (signal?.aborted === true) throw abortError(signal, false)
    const turn = this.#last.then(async () => {
      const native = await this.#handle.open()
      if (signal?.aborted === true) throw abortError(signal, false)
      return work(native)
    })
    this.#last = turn.catch(() => undefined)
    return this.#handle.track(turn)
  }
}

/**
 * The settings and addresses of another network namespace. Rejects with `ERR_IPVS_NO_NETNS`,
 * `ERR_HOST_PERMISSION` (entering a namespace needs CAP_SYS_ADMIN), `ERR_HOST_REFUSED` (where no file
 * can be opened or no thread started) and `ERR_IPVS_NOT_AVAILABLE`.
 */
export const openHost = async (options?: OpenOptions): Promise<Host> =>
  new HostHandle(options).open()

/** The settings and addresses of the process's own network namespace, opened at the first use. */
export const host: Host = new HostHandle(undefined)
