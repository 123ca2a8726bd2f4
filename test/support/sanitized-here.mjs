// Imported before the kernel tests (sanitized.mjs): the addon with sanitizers is loaded into this process, and
// what this process starts is ordinary. Clients and servers under ASan are too slow for an emulated machine.

import { ipvs } from 'ipvs-netlink'

await ipvs.info()
delete process.env.LD_PRELOAD
delete process.env.IPVS_NETLINK_PREBUILD
