// Steps of profiles that create devices, bring them up, and open the ports of tunnels.

import { IpvsError } from './errors.js'
import { changeGuePort, createLink, deleteLink, findLink, isGuePortOpen, setLink } from './link.js'
import type { GuePort, TunnelDevice } from './link.js'
import type { Step } from './trail.js'
import { wantedAction } from './wanted-action.js'
import { heldValue, isOrphaned } from './wants.js'
import type { GuePortChange, LinkChange } from '../types/profile.js'

const refuse = (device: string, what: string): never => {
  throw new IpvsError(`Cannot use ${device} as a tunnel${what}`, {
    code: 'ERR_HOST_REFUSED',
    errno: 0,
    command: 'RTM_NEWLINK',
  })
}

/** Creates a device, down. */
export const createTunnelDevice =
  (why: string, tunnel: TunnelDevice): Step =>
  async (native) => {
    const { device, kind, parent } = tunnel
    const name = `device ${device}`
    const there = await findLink(native, device)
    if (there && there.kind !== kind) {
      refuse(device, `: it is a device of kind ${there.kind ?? 'hardware'}, not ${kind}`)
    }
    const made = parent === undefined ? 'there' : `there for ${parent}`
    // The kernel is not asked from where a device takes packets; this handle knows it of its own.
    const found = heldValue(native, name) ?? 'there'
    if (there && parent !== undefined && found !== 'there' && found !== made) {
      const isLeft = isOrphaned(native, name, found)
      const why = isLeft
        ? `a preparation that failed, and could not delete it, has left it ${found}; nobody needs it, delete it`
        : `another preparation needs it ${found}`
      refuse(device, ` for ${parent}: ${why}`)
    }
    const after = there ? found : made
    const change: LinkChange = { kind: 'link', device, before: 'absent', after: 'down', why }
    return [
      wantedAction(
        { name, before: there ? found : 'absent', after, isWanted: false, changeOf: () => change },
        {
          // Not `after`: it may be gone, and be another preparation's by now.
          read: async (now) =>
            (await findLink(now, device)) ? (heldValue(now, name) ?? 'there') : 'absent',
          put: (now) => createLink(now, tunnel),
          putBack: async (later) => {
            await deleteLink(later, device)
            const isLeft = (await findLink(later, device)) !== undefined
            return isLeft ? { restored: [], left: [change] } : { restored: [change], left: [] }
          },
        },
      ),
    ]
  }

export const bringUp =
  (why: string, device: string): Step =>
  async (native) => {
    const change: LinkChange = { kind: 'link', device, before: 'down', after: 'up', why }
    const read = async (now: typeof native): Promise<'up' | 'down'> =>
      (await findLink(now, device))?.up === true ? 'up' : 'down'
    const before = await read(native)
    const name = `state of device ${device}`
    return [
      wantedAction(
        { name, before, after: 'up', isWanted: false, changeOf: () => change },
        {
          read,
          put: (now) => setLink(now, device, 'up'),
          putBack: async (later) => {
            await setLink(later, device, 'down')
            return { restored: [change], left: [] }
          },
        },
      ),
    ]
  }

export const openGuePort =
  (why: string, where: GuePort): Step =>
  async (native) => {
    const change: GuePortChange = {
      kind: 'gue-port',
      ...where,
      before: 'closed',
      after: 'open',
      why,
    }
    const read = async (now: typeof native): Promise<'open' | 'closed'> =>
      (await isGuePortOpen(now, where)) ? 'open' : 'closed'
    const before = await read(native)
    const name = `GUE port ${where.port} of ${where.family}`
    return [
      wantedAction(
        { name, before, after: 'open', isWanted: false, changeOf: () => change },
        {
          read,
          put: (now) => changeGuePort(now, 'open', where),
          putBack: async (later) => {
            if ((await read(later)) === 'open') await changeGuePort(later, 'close', where)
            return { restored: [change], left: [] }
          },
        },
      ),
    ]
  }
