// Network devices.

/** One network device. */
export interface HostLink {
  /** Its name, such as `lo` or `eth0`. `IFLA_IFNAME`. */
  readonly device: string
  /** What made it, such as `veth`, `ipip` or `ip6tnl`; absent from hardware and `lo`. `IFLA_INFO_KIND`. */
  readonly kind?: string
  /** Size of the largest packet, in bytes. `IFLA_MTU`. */
  readonly mtu: number
  /** Whether it was brought up. `IFF_UP`; says nothing of a cable. */
  readonly up: boolean
  /** Its Ethernet address, such as `02:00:00:00:00:01`; absent where it has none. `IFLA_ADDRESS`. */
  readonly address?: string
}
