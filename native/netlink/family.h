// Generic netlink: families have names; their numbers are given at load time.
#pragma once

#include <cstdint>
#include <string>

#include "netlink/exchange.h"

namespace netlink {

// Asks the kernel's controller for the number of a family, which also loads its module: ENOENT when
// there is none. Never answers a number below NLMSG_MIN_TYPE, because the kernel acknowledges
// messages of such types as a success and does nothing.
Outcome ResolveFamily(Socket* socket, const std::string& name, Deadline deadline, uint16_t* id);

// The same for whoever only wants the module loaded. A family that is not there is of
// Stage::kFamily.
Outcome LoadFamily(const std::shared_ptr<NetworkNamespace>& where, const std::string& name,
                   int silence);

// Starts a generic netlink request.
MessageWriter& BeginGeneric(RequestBatch* batch, uint16_t family, uint8_t command, uint8_t version,
                            uint16_t flags);

// The attributes of a generic netlink message and its command; false when it is cut short.
bool ReadGeneric(const Message& message, uint8_t* command, Bytes* attributes);

}  // namespace netlink
