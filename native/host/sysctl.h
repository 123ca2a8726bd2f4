// Kernel settings under /proc/sys/net, which shows those of the network namespace of the thread
// that looks. All functions may block: never on the main thread.
#pragma once

#include <memory>
#include <string>

#include "netlink/namespace.h"

namespace host {

// `name` is the path below /proc/sys/net, such as "ipv4/ip_forward". Failures: EINVAL (a name that
// would leave the folder), or what the kernel says of the file.
netlink::Outcome ReadSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                             const std::string& name, std::string* value);
netlink::Outcome WriteSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                              const std::string& name, const std::string& value);

}  // namespace host
