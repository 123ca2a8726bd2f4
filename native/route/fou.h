// UDP ports on which the kernel takes packets out of their tunnel (FOU, "foo over UDP"), over
// generic netlink. All functions may block, also to load a module: never on the main thread.
#pragma once

#include <cstdint>
#include <memory>

#include "netlink/namespace.h"

namespace route {

// The numbers cross to JavaScript; they are FOU_ENCAP_* of <linux/fou.h>.
enum class Encapsulation : uint32_t { kNone = 0, kDirect = 1, kGue = 2 };

struct FouPort {
  uint8_t family = 0;  // AF_INET or AF_INET6
  uint16_t port = 0;
};

// What the kernel expects on a port; kNone when it does not listen there, or has no FOU.
netlink::Outcome ReadFouPort(const std::shared_ptr<netlink::NetworkNamespace>& where,
                             const FouPort& port, int silence, Encapsulation* found);

// Starts to take generic UDP encapsulation on a port, or stops. ENOENT: the kernel has no FOU.
netlink::Outcome ChangeGuePort(const std::shared_ptr<netlink::NetworkNamespace>& where, bool add,
                               const FouPort& port, int silence);

}  // namespace route
