// What a machine needs around IPVS: addresses, ARP and kernel settings.

import type { Diagnosis, DiagnosisProfile } from './diagnosis.js'
import type { HostLink } from './link.js'
import type { DirectorProfile, Preparation, RealServerProfile } from './profile.js'
import type { Family } from './service.js'
import type { CallOptions } from './ipvs.js'
import type { IpvsSettingChanges, IpvsSettings, PersistedSettings } from './settings.js'

/** One address of a network device. */
export interface HostAddress {
  /** In canonical form (RFC 5952). `IFA_LOCAL` or `IFA_ADDRESS`. */
  readonly address: string
  /** Of the address. `ifa_family`. */
  readonly family: Family
  /** 0 to 32 or 128. */
  readonly prefixLength: number
  /** Network device, such as `lo` or `eth0`. */
  readonly device: string
  /** IPv4 only: the label that `ifconfig` shows as an interface, such as `lo:0`. `IFA_LABEL`. */
  readonly label?: string
  /** Where the address is valid (`ifa_scope`, `/etc/iproute2/rt_scopes`). */
  readonly scope: 'global' | 'site' | 'link' | 'host' | 'nowhere' | number
  /** IPv6: duplicate-address detection has not ended yet. `IFA_F_TENTATIVE`. */
  readonly tentative: boolean
}

/** A virtual address on this machine. */
export interface VipKey {
  /**
   * Numeric. Unspecified, multicast, broadcast, IPv4-mapped and (IPv6) link-local addresses are
   * refused.
   */
  readonly address: string
  /** Network device. Default `'lo'`. */
  readonly device?: string | undefined
  /**
   * 1 to 32 or 128. Default 32 or 128: a shorter one would, on `lo`, make the whole subnet local to
   * this machine.
   */
  readonly prefixLength?: number | undefined
}

/** A virtual address as it is added. */
export interface VipConfig extends VipKey {
  /**
   * IPv4 only: up to 15 characters, the device's name or `<device>:<text>`. Default: the first free
   * `<device>:<number>`, as in `lo:0`.
   */
  readonly label?: string | undefined
  /**
   * Whether neighbours are told at once where the address is now: by gratuitous ARP (RFC 5227) or an
   * unsolicited neighbour advertisement (RFC 4861), once. For a VIP on a real device that came from
   * another machine. Needs CAP_NET_RAW. Default `false`; refused on `lo`.
   */
  readonly announce?: boolean | undefined
}

/** A virtual address as it is removed. */
export interface DeletedVip extends VipKey {
  /** IPv4 only: see {@link VipConfig.label}. Default: whichever it has. */
  readonly label?: string | undefined
}

/** ARP settings of one device, and what is effective. */
export interface ArpState {
  /** Name of the network device. */
  readonly device: string
  /**
   * `net.ipv4.conf.<device>.arp_ignore` as it is effective: the larger of `all` and the device. 1
   * and more: questions for addresses of other devices (the VIP on `lo`) are not answered.
   */
  readonly arpIgnore: number
  /**
   * `net.ipv4.conf.<device>.arp_announce` as it is effective: the larger of `all` and the device.
   * 2: the VIP is never named as the sender of an ARP question.
   */
  readonly arpAnnounce: number
  /** Both are what a real server with the VIP on `lo` needs. */
  readonly suppressed: boolean
}

/** Options of {@link Host.ipForward}. */
export interface ForwardOptions extends CallOptions {
  /** Default `'ipv4'`. */
  readonly family?: Family | undefined
}

/**
 * The settings and addresses of one network namespace. Nothing here survives a reboot, but for the
 * settings that {@link Host.persist} wrote to a file.
 *
 * Every call rejects with a `TypeError` or `RangeError` (`ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`) for wrong arguments, before anything is touched; with an `IpvsError` of code `ERR_HOST_PERMISSION`, `ERR_HOST_REFUSED`,
 * `ERR_IPVS_NOT_AVAILABLE`, `ERR_IPVS_NO_NETNS`, `ERR_IPVS_TIMEOUT`, `ERR_IPVS_MALFORMED_REPLY` or
 * `ERR_IPVS_CLOSED`; a change also with `ERR_IPVS_OUTCOME_UNKNOWN`, when it may have been made. Only further codes
 * are listed below. The calls of one handle are carried out one after the other, in their order.
 */
export interface Host extends AsyncDisposable {
  /**
   * Reads a kernel setting below `net`, without the line break. The name is dotted
   * (`net.ipv4.ip_forward`) or with slashes (`net/ipv4/conf/eth0.5/arp_ignore`); as in sysctl(8)
   * the first separator decides, and in dotted names a `/` stands for a dot in a device's name
   * (`net.ipv4.conf.eth0/5.arp_ignore`). Other parts of /proc/sys belong to no network namespace
   * and are refused, as is whatever would leave /proc/sys/net. Rejects with `ERR_HOST_NO_SYSCTL`.
   */
  getSysctl(name: string, options?: CallOptions): Promise<string>
  /**
   * Writes a kernel setting below `net`: an integer, a boolean (as 1 and 0) or a text of one line
   * and at most 4000 characters, of which an empty one empties a list. Rejects with
   * `ERR_HOST_NO_SYSCTL`, and with `ERR_HOST_REFUSED` when the kernel does not accept the value, or
   * only the beginning of it.
   */
  setSysctl(name: string, value: string | number | boolean, options?: CallOptions): Promise<void>
  /**
   * Without `on`: answers whether this machine forwards packets. With it: sets it. A NAT director
   * needs it. `net.ipv4.ip_forward`, or `net.ipv6.conf.all.forwarding`. Rejects with
   * `ERR_HOST_NO_SYSCTL` where the kernel has no IPv6.
   */
  ipForward(options?: ForwardOptions): Promise<boolean>
  /** Sets it, and answers what it was set to. */
  ipForward(on: boolean, options?: ForwardOptions): Promise<boolean>
  /**
   * Reads IPVS's own settings, `net.ipv4.vs.*`. Has the kernel load IPVS where it is not there yet.
   * Rejects with `ERR_HOST_NO_SYSCTL` in a namespace of another user namespace, from which older
   * kernels hide them.
   */
  ipvsSettings(options?: CallOptions): Promise<IpvsSettings>
  /**
   * Changes some of them, and answers all as they are then: where they cannot be read any more, as they
   * were written. Everything is checked, also against what this kernel has, before anything is written;
   * what is right already is not written again. Should the kernel refuse one nevertheless, or take a part
   * of it, what was written is put back; an `AggregateError` names what could not be. Rejects with
   * `ERR_HOST_NO_SYSCTL` for a setting that this kernel lacks.
   */
  setIpvsSettings(changes: IpvsSettingChanges, options?: CallOptions): Promise<IpvsSettings>
  /** All addresses, or those of one device. Rejects with `ERR_HOST_NO_DEVICE`. Kernel: `RTM_GETADDR`. */
  listAddresses(device?: string, options?: CallOptions): Promise<HostAddress[]>
  /** All network devices. Kernel: `RTM_GETLINK`. */
  listLinks(options?: CallOptions): Promise<HostLink[]>
  /**
   * Adds a virtual address: IPv4 as /32 with a label, IPv6 as /128 without duplicate-address
   * detection. Resolves to what was added. Rejects with `ERR_HOST_ADDRESS_EXISTS`,
   * `ERR_HOST_NO_DEVICE`; with `ERR_HOST_REFUSED` for an IPv6 address where IPv6 is switched off, and,
   * before it is added, when it is to be announced on a device that is down or has no Ethernet address.
   * After `ERR_IPVS_OUTCOME_UNKNOWN` it may be there, and may have been before. Kernel: `RTM_NEWADDR`.
   */
  addVip(vip: VipConfig, options?: CallOptions): Promise<HostAddress>
  /**
   * Adds many at once, all or none, in the fewest system calls. Those that are there exactly as
   * wanted are not sent, but announced if that is asked for. Resolves to all of them, in their
   * order. When one fails, those that this call added, or may have, are deleted again and it rejects with
   * the error of the first that failed.
   */
  addVip(vips: readonly VipConfig[], options?: CallOptions): Promise<HostAddress[]>
  /**
   * Removes a virtual address. With a label, only if it has that one. Rejects with
   * `ERR_HOST_NO_ADDRESS`, `ERR_HOST_NO_DEVICE`. Kernel: `RTM_DELADDR`.
   *
   * Of many, those that are not there are not sent. It goes on after a failure, puts nothing back,
   * and then rejects with the error of the first that may have been removed
   * (`ERR_IPVS_OUTCOME_UNKNOWN`) or else the first that failed; where several failed, its `errors` has
   * all.
   */
  deleteVip(vip: DeletedVip | readonly DeletedVip[], options?: CallOptions): Promise<void>
  /**
   * Reads what is effective for ARP on devices, of which one may be `all`. Rejects with
   * `ERR_HOST_NO_DEVICE`.
   */
  arpSuppression(devices: string | readonly string[], options?: CallOptions): Promise<ArpState[]>
  /**
   * Keeps this machine from answering ARP for addresses on `lo` and from announcing them:
   * `arp_ignore=1` and `arp_announce=2` on `all` and on each device. Stricter values stay. Answers
   * what is effective with them. Rejects with `ERR_HOST_NO_DEVICE`.
   */
  suppressArp(devices: string | readonly string[], options?: CallOptions): Promise<ArpState[]>
  /**
   * Makes this machine a director: everything around the virtual services themselves. What is
   * right already stays and is not in the answer; calling it again changes nothing. When a step
   * fails or the call is aborted, the earlier ones are undone before it rejects. Loads the module
   * ip_vs. Rejects with `ERR_HOST_NO_DEVICE`, `ERR_HOST_NO_SYSCTL`.
   */
  prepareDirector(profile: DirectorProfile, options?: CallOptions): Promise<Preparation>
  /**
   * Makes this machine a real server: ARP first, then the tunnel, then the VIP on `lo`, so that the
   * address is never announced. Idempotent and all or nothing, as {@link prepareDirector}. Rejects
   * with `ERR_HOST_NO_DEVICE`; with `ERR_HOST_REFUSED` where the kernel lacks the tunnel's module.
   */
  prepareRealServer(profile: RealServerProfile, options?: CallOptions): Promise<Preparation>
  /**
   * Writes the settings that were set through this handle, and those that its preparations found as
   * they are to be, to a file of sysctl.d(5), which the system reads when it starts, so that they
   * survive a reboot; not what {@link Preparation.undo} put back, and no addresses. The file says which
   * lines are this package's: there, earlier settings stay unless they were set anew or put back, so that
   * nothing is lost when the program that set them is started again; whatever stands above is left as it
   * is. The file is replaced in one step and keeps its mode and owner; a new one gets mode 0644 without
   * what the umask denies. Besides, the module `ip_vs` has to be named in `/etc/modules-load.d`
   * if there are settings of IPVS, and the settings are applied to the namespace in which the system
   * starts: give another path for those of another one.
   *
   * Within a process and thread one call waits for the other. Two processes or worker threads that
   * persist to one path at the same time may each drop what the other added: give each a path of its own.
   *
   * Default path: `/etc/sysctl.d/90-ipvs-netlink.conf`. Rejects with Node's own file system errors,
   * such as `EACCES`, or `ELOOP` for a symbolic link; with `ERR_HOST_REFUSED`, before anything is
   * written, for a setting of a device with one of `* ? [ ] { } \ =` in its name: the file would
   * speak of other devices then.
   */
  persist(path?: string, options?: CallOptions): Promise<PersistedSettings>
  /**
   * Looks at this machine for a role, and answers what is right and wrong for it, with a cure for
   * each fault. It only reads, loads no module, and needs no privilege; what it may not read it
   * says. It sees what the kernel has, not the network: no packet is sent.
   */
  diagnose(profile: DiagnosisProfile, options?: CallOptions): Promise<Diagnosis>
  /**
   * Waits for the calls under way and closes the handle; later calls reject with
   * `ERR_IPVS_CLOSED`.
   */
  close(): Promise<void>
}
