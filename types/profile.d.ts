// What a machine is prepared for, what that changed, and the way back.

import type { Forwarding, Tunnel } from './destination.js'
import type { Family } from './service.js'

/** A kernel setting that was written. */
export interface SysctlChange {
  /** Tells it from the other changes. */
  readonly kind: 'sysctl'
  /** Dotted name. */
  readonly name: string
  /** Its value before, as read. */
  readonly before: string
  /** Its value after, as written. */
  readonly after: string
  /** What it is good for, in words. */
  readonly why: string
}

/** An address that was added. */
export interface AddressChange {
  /** Tells it from the other changes. */
  readonly kind: 'address'
  /** See {@link HostAddress.address}. */
  readonly address: string
  /** See {@link HostAddress.prefixLength}. */
  readonly prefixLength: number
  /** See {@link HostAddress.device}. */
  readonly device: string
  /** See {@link HostAddress.label}. */
  readonly label?: string
  /** It was not there. */
  readonly before: 'absent'
  /** It is there. */
  readonly after: 'present'
  /** What it is good for, in words. */
  readonly why: string
}

/** A network device that was created or brought up. */
export interface LinkChange {
  /** Tells it from the other changes. */
  readonly kind: 'link'
  /** See {@link HostLink.device}. */
  readonly device: string
  /** Whether it was there, but down. */
  readonly before: 'absent' | 'down'
  /** What it is now. */
  readonly after: 'down' | 'up'
  /** What it is good for, in words. */
  readonly why: string
}

/** A UDP port on which the kernel takes packets out of their GUE tunnel since. */
export interface GuePortChange {
  /** Tells it from the other changes. */
  readonly kind: 'gue-port'
  /** `FOU_ATTR_PORT`. */
  readonly port: number
  /** `FOU_ATTR_AF`. */
  readonly family: Family
  /** Nobody listened there. */
  readonly before: 'closed'
  /** The kernel does. */
  readonly after: 'open'
  /** What it is good for, in words. */
  readonly why: string
}

/** One thing that a preparation changed. */
export type HostChange = SysctlChange | AddressChange | LinkChange | GuePortChange

/** What was changed, and the way back. */
export interface Preparation extends AsyncDisposable {
  /** In the order in which it was done; empty when everything was as it should be already. */
  readonly changed: readonly HostChange[]
  /**
   * Puts back exactly what was changed, in reverse order. What somebody else changed meanwhile is
   * left alone. So is a setting that a call on the same {@link Host} asked for, a VIP that one has
   * deleted and added anew, and a setting, VIP, device or port that another preparation of it needs:
   * the last one to be undone puts it back, in whatever order. What was there before all of them
   * stays. What hides a VIP from ARP stays while that VIP does. Preparing the same once more is no
   * other preparation.
   *
   * Undoing twice is harmless; after a failure (an `AggregateError`) only what failed is tried again,
   * and what hides a VIP that could not be deleted. What a preparation that failed could not put back
   * is put back by the next one that needs the same, once that is undone.
   *
   * What was there before is only in the process's memory. When it is killed, the way back is lost: the
   * next preparation finds everything as it should be, and its `undo()` puts nothing of it back.
   */
  undo(): Promise<UndoReport>
}

/** What {@link Preparation.undo} did. */
export interface UndoReport {
  /** Put back as it was; also what a preparation that was undone earlier, or failed, left to this one. */
  readonly restored: readonly HostChange[]
  /**
   * Left alone, because somebody else changed or removed it meanwhile, or needs it: another
   * preparation, a call, or whoever has the IPv4 VIP on the device now, which then stays hidden from
   * ARP. Also a device such as `tunl0` that came with its module and goes with it only; it is down
   * again.
   */
  readonly left: readonly HostChange[]
}

/** What a director is to be prepared for. */
export interface DirectorProfile {
  /**
   * How packets reach the real servers. Only `nat` makes the machine a router: it forwards packets
   * (`ip_forward`, `conf.<device>.forwarding`; IPv6: `conf.all.forwarding`, with `accept_ra=2` on
   * devices that learn their route from router advertisements), and sends no redirects, which
   * would lead answers around it (`send_redirects=0` on `all` and the devices).
   *
   * Each of them: `net.ipv4.vs.expire_nodest_conn=1`, no strict `rp_filter` on the devices (IPv4),
   * and before Linux 5.9 `net.ipv4.vs.conn_reuse_mode=0`.
   */
  readonly forwarding: Forwarding
  /**
   * The virtual address or addresses, added to the first device, or to `lo` without one, unless
   * some device has them. IPv6 ones are never the source of what the director itself sends (a
   * preferred lifetime of 0): real servers have them too and would drop it.
   */
  readonly vip?: string | readonly string[] | undefined
  /**
   * The device or devices on which packets of clients and real servers arrive, the clients' first.
   * Without it `rp_filter` stays as it is, and `nat` turns redirects off on every device that is
   * still there by then.
   */
  readonly device?: string | readonly string[] | undefined
  /** Of `nat`, without a VIP: the family of its virtual services. Default: those of the VIPs, else `'ipv4'`. */
  readonly family?: Family | undefined
  /**
   * Whether netfilter keeps track of what IPVS forwards, which rules for masquerading or states
   * need: `net.ipv4.vs.conntrack=1`. Costs time and memory for each connection. Default: as it is.
   */
  readonly conntrack?: true | undefined
  /** Whether VIPs that are added are announced, see {@link VipConfig.announce}. Default `false`. */
  readonly announce?: boolean | undefined
}

/** A real server to which the director rewrites packets. */
export interface NatRealServerProfile {
  /**
   * Nothing on the machine itself, since packets arrive under its own address; its route back must
   * lead through the director.
   */
  readonly forwarding: 'nat'
  /** Not needed. */
  readonly vip?: string | readonly string[] | undefined
  /** Not needed. */
  readonly device?: string | readonly string[] | undefined
  /** `tun` only. */
  readonly tunnel?: undefined
}

/** A real server that answers clients itself, from the director's network. */
export interface DrRealServerProfile {
  /** The VIP on `lo`, hidden from ARP. */
  readonly forwarding: 'dr'
  /** The virtual address or addresses. */
  readonly vip: string | readonly string[]
  /**
   * The device or devices on which the director's packets arrive, such as `eth0`. May be undefined
   * where no VIP is IPv4: only these have to be hidden from ARP.
   */
  readonly device: string | readonly string[] | undefined
  /** `tun` only. */
  readonly tunnel?: undefined
}

/** A real server that answers clients itself, and to which packets come in a tunnel. */
export interface TunRealServerProfile {
  /**
   * As `dr`, and the device that takes packets out of the tunnel, up and without strict `rp_filter`:
   * packets seem to come from the wrong side there.
   */
  readonly forwarding: 'tun'
  /** See {@link DrRealServerProfile.vip}. */
  readonly vip: string | readonly string[]
  /** See {@link DrRealServerProfile.device}. Also needed for a gre tunnel with checksums. */
  readonly device: string | readonly string[] | undefined
  /**
   * As the director's destination has it. Default `{ type: 'ipip' }`. The outer packets
   * are of the VIP's family. The devices are `tunl0` and `ip6tnl0` (ipip and gue), `gre0` and
   * `ip6gre0`; for gre with checksums `ipvs-gre` and `ipvs-gre6`, which are created for the first of
   * `device`. One that is there is taken to be for it, unless a preparation of this {@link Host} made
   * it for another: `ERR_HOST_REFUSED`.
   */
  readonly tunnel?: Tunnel | undefined
}

/** What a real server is to be prepared for. */
export type RealServerProfile = NatRealServerProfile | DrRealServerProfile | TunRealServerProfile
