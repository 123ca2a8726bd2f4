// The vocabulary of destinations (real servers).

/** What identifies a destination inside its service. */
export interface DestinationKey {
  /**
   * Address of the real server, numeric. Its family may differ from the service's only with `tun`
   * forwarding. Unspecified, multicast, broadcast, IPv4-mapped and (IPv6) link-local addresses are
   * refused. This machine can be one of its own real servers: packets for an address of its own, such as
   * `127.0.0.1` or the VIP, go to its own sockets, with `nat` on whatever port is given.
   *
   * Kernel: `IPVS_DEST_ATTR_ADDR`, 4 or 16 bytes in network order, and `IPVS_DEST_ATTR_ADDR_FAMILY`.
   */
  readonly address: string
  /**
   * Port on the real server, 0 to 65535. Default: the service's own (0 for a fwmark service). `dr`
   * and `tun` do not rewrite packets, so there it must be the service's own, fwmark services aside.
   *
   * Kernel: `IPVS_DEST_ATTR_PORT`, u16 in network order.
   *
   * @asType integer
   * @minimum 0
   * @maximum 65535
   */
  readonly port?: number | undefined
}

/**
 * How packets reach the real server: `nat` rewrites addresses (masquerading, `ipvsadm -m`), `dr`
 * only changes the link-layer address (direct routing, `-g`), `tun` wraps them in a tunnel (`-i`).
 *
 * Kernel: `IPVS_DEST_ATTR_FWD_METHOD`, u32: `IP_VS_CONN_F_MASQ` 0, `IP_VS_CONN_F_DROUTE` 3,
 * `IP_VS_CONN_F_TUNNEL` 2.
 */
export type Forwarding = 'nat' | 'dr' | 'tun'

/**
 * The tunnel of a `tun` destination.
 *
 * Kernel: `IPVS_DEST_ATTR_TUN_TYPE` u8 (ipip 0, gue 1, gre 2), `IPVS_DEST_ATTR_TUN_PORT` u16 in
 * network order, `IPVS_DEST_ATTR_TUN_FLAGS` u16 (none 0, csum 1, remcsum 2). gue needs a kernel of
 * 5.2, gre of 5.3.
 */
export type Tunnel =
  | {
      /** IP in IP. */
      readonly type: 'ipip'
    }
  | {
      /** Generic routing encapsulation. */
      readonly type: 'gre'
      /** Whether packets carry a checksum. Default `'none'`. */
      readonly checksum?: 'none' | 'csum' | undefined
    }
  | {
      /** Generic UDP encapsulation. */
      readonly type: 'gue'
      /**
       * UDP port of the tunnel on the real server, 1 to 65535.
       *
       * @asType integer
       * @minimum 1
       * @maximum 65535
       */
      readonly port: number
      /** Whether packets carry a checksum, or its remote offload. Default `'none'`. */
      readonly checksum?: 'none' | 'csum' | 'remcsum' | undefined
    }

/** What every destination has, however it is forwarded to. */
export interface DestinationLimits {
  /**
   * Share of the work, relative to the other destinations, 0 to 2^31-1. Default 1. With 0 the
   * destination keeps its connections and gets no new ones.
   *
   * Kernel: `IPVS_DEST_ATTR_WEIGHT`, u32.
   *
   * @asType integer
   * @minimum 0
   * @maximum 2147483647
   */
  readonly weight?: number | undefined
  /**
   * Connections at which the destination stops getting new ones, 0 to 2^31-1. Default 0: no limit.
   * Kernel: `IPVS_DEST_ATTR_U_THRESH`, u32.
   *
   * @asType integer
   * @minimum 0
   * @maximum 2147483647
   */
  readonly upperThreshold?: number | undefined
  /**
   * Connections below which it gets new ones again, 0 to {@link upperThreshold}. Default 0: the
   * kernel uses three quarters of the upper threshold.
   * Kernel: `IPVS_DEST_ATTR_L_THRESH`, u32.
   *
   * @asType integer
   * @minimum 0
   * @maximum 2147483647
   */
  readonly lowerThreshold?: number | undefined
}

/** How packets reach a destination. Only `tun` has a tunnel. */
export type DestinationForwarding =
  | {
      /** See {@link Forwarding}. Default `'dr'`, as ipvsadm(8). */
      readonly forwarding?: 'nat' | 'dr' | undefined
      /** Only with `tun` forwarding. */
      readonly tunnel?: undefined
    }
  | {
      /** See {@link Forwarding}. */
      readonly forwarding: 'tun'
      /** See {@link Tunnel}. Default `{ type: 'ipip' }`. */
      readonly tunnel?: Tunnel | undefined
    }

/** Everything about a destination that can be set and is not its identity. */
export type DestinationSettings = DestinationLimits & DestinationForwarding

/**
 * Changes of {@link Ipvs.patchDestination}: what is not named stays as it is. A `tunnel` implies `tun`
 * forwarding, and another forwarding drops the tunnel.
 */
export type DestinationChanges = DestinationLimits &
  (
    | DestinationForwarding
    | {
        /** May be left out: a tunnel implies it. */
        readonly forwarding?: 'tun' | undefined
        /** See {@link Tunnel}. Replaces the whole tunnel. */
        readonly tunnel: Tunnel
      }
  )

/** A destination as it is created or replaced. */
export type DestinationConfig = DestinationKey & DestinationSettings
