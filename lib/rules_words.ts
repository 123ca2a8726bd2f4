// What is wrong with a rule, in the words of the rule: a property is what an option says.

const words: Readonly<Record<string, string>> = {
  'service.address': 'the address of the service',
  'service.port': 'the port of the service',
  'service.fwmark': 'the fwmark (-f)',
  'service.scheduler': 'the scheduler (-s)',
  'service.schedulerFlags': 'each scheduler flag (-b)',
  'service.onePacket': 'one-packet scheduling (-o)',
  'service.persistence.timeout': 'the persistence timeout (-p)',
  'service.persistence.netmask': 'the mask (-M)',
  'service.persistence.prefixLength': 'the mask (-M)',
  'service.persistence.engine': 'the persistence engine (--pe)',
  'destination.address': 'the address of the server (-r)',
  'destination.port': 'the port of the server (-r)',
  'destination.weight': 'the weight (-w)',
  'destination.upperThreshold': 'the upper threshold (-x)',
  'destination.lowerThreshold': 'the lower threshold (-y)',
  'destination.tunnel.type': 'the tunnel type (--tun-type)',
  'destination.tunnel.port': 'the tunnel port (--tun-port)',
  'destination.tunnel.checksum': 'the checksum of the tunnel (--tun-...)',
  'timeouts.tcp': 'the first timeout (--set)',
  'timeouts.tcpFin': 'the second timeout (--set)',
  'timeouts.udp': 'the third timeout (--set)',
  'daemon.role': 'the daemon to start',
  'daemon.interface': 'the device (--mcast-interface)',
  'daemon.syncId': 'the number of the daemon (--syncid)',
  'daemon.maxLength': 'the message length (--sync-maxlen)',
  'daemon.group': 'the group (--mcast-group)',
  'daemon.port': 'the port of the group (--mcast-port)',
  'daemon.ttl': 'the hops (--mcast-ttl)',
  role: 'the daemon to stop',
}

/** The message of a check of the property `rule`, or of anything else. */
export const inWords = (message: string): string =>
  message.replace(
    /^The property "rule\.([^"[]+)(\[\d+\])?"/,
    (all: string, path: string) => words[path] ?? all,
  )
