// Changing some settings and keeping the others. The kernel only replaces, so a patch is laid over
// what the kernel has.
#pragma once

#include "ipvs/codec.h"

namespace ipvs {

// Both take the operation of a patch and the record as it was read, and make the operation that
// replaces everything.

// EINVAL when the patch has flags of another scheduler than the service has.
netlink::Outcome MergeService(const uint8_t* patch, const uint8_t* current, Records* merged);

void MergeDestination(const uint8_t* patch, const uint8_t* current, Records* merged);

}  // namespace ipvs
