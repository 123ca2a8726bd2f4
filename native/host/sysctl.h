// Kernel settings under /proc/sys/net, which shows those of the network namespace of the thread
// that looks. All functions may block: never on the main thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "netlink/namespace.h"

namespace host {

// Names and values.
using Settings = std::vector<std::pair<std::string, std::string>>;

// `name` is the path below /proc/sys/net, such as "ipv4/ip_forward". Failures: EINVAL (a name that
// would leave the folder), ELOOP and ENOTDIR (a symbolic link on the way), ENOENT also for what is
// no file of the kernel's, or what the kernel says of the file.
netlink::Outcome ReadSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                             const std::string& name, std::string* value);

// All settings right below a folder, such as "ipv4/vs", but for those that cannot be read.
netlink::Outcome ReadSettings(const std::shared_ptr<netlink::NetworkNamespace>& where,
                              const std::string& folder, Settings* settings);

// Also E2BIG, when the kernel took the beginning of the value and left the rest.
netlink::Outcome WriteSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                              const std::string& name, const std::string& value);

}  // namespace host
