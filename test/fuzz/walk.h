// Reads every attribute, and what lies nested in it, so that a sanitizer sees each byte that a
// reader hands out.
#pragma once

#include "netlink/message.h"

namespace fuzz {

inline size_t Walk(netlink::Bytes bytes, int depth) {
  size_t sum = 0;
  for (size_t i = 0; i < bytes.size; ++i) sum += bytes.data[i];
  netlink::AttributeReader reader(bytes);
  netlink::AttributeView attribute;
  while (reader.Next(&attribute)) {
    sum += attribute.type + (depth > 0 ? Walk(attribute.payload, depth - 1) : 0);
  }
  return sum + (reader.malformed() ? 1 : 0);
}

// Whether the run of attributes is whole, and the nests of these types in it.
inline bool IsWhole(netlink::Bytes bytes, uint16_t last_nest) {
  netlink::AttributeReader reader(bytes);
  netlink::AttributeView attribute;
  while (reader.Next(&attribute)) {
    if (attribute.type <= last_nest && !IsWhole(attribute.payload, 0)) return false;
  }
  return !reader.malformed();
}

}  // namespace fuzz
