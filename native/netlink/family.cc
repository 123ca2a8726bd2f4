#include "netlink/family.h"

#include <linux/genetlink.h>

#include <cerrno>

namespace netlink {

MessageWriter& BeginGeneric(RequestBatch* batch, uint16_t family, uint8_t command, uint8_t version,
                            uint16_t flags) {
  MessageWriter& writer = batch->Begin(family, flags);
  genlmsghdr header{};
  header.cmd = command;
  header.version = version;
  writer.Append(&header, sizeof header);
  return writer;
}

bool ReadGeneric(const Message& message, uint8_t* command, Bytes* attributes) {
  if (message.payload.size < sizeof(genlmsghdr)) return false;
  *command = message.payload.data[offsetof(genlmsghdr, cmd)];
  *attributes = message.payload.From(sizeof(genlmsghdr));
  return true;
}

Outcome ResolveFamily(Socket* socket, const std::string& name, Deadline deadline, uint16_t* id) {
  RequestBatch batch(socket);
  MessageWriter& writer = BeginGeneric(&batch, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0);
  writer.Attribute(CTRL_ATTR_FAMILY_NAME, name.c_str(), name.size() + 1);
  writer.End();
  uint16_t found = 0;
  Outcome outcome = ExchangeOne(socket, &batch, deadline, [&](size_t, const Message& message) {
    uint8_t command = 0;
    Bytes bytes;
    if (!ReadGeneric(message, &command, &bytes)) return false;
    AttributeReader attributes(bytes);
    AttributeView attribute;
    while (attributes.Next(&attribute)) {
      if (attribute.type == CTRL_ATTR_FAMILY_ID && attribute.payload.size >= sizeof found) {
        found = Load<uint16_t>(attribute.payload.data);
      }
    }
    return !attributes.malformed();
  });
  if (!outcome.ok()) return outcome;
  if (found < NLMSG_MIN_TYPE) return Failure(Stage::kReply, EBADMSG);
  *id = found;
  return {};
}

Outcome LoadFamily(const std::shared_ptr<NetworkNamespace>& where, const std::string& name,
                   int silence) {
  Socket socket;
  Outcome outcome = Socket::Open(NETLINK_GENERIC, where, &socket);
  if (!outcome.ok()) return outcome;
  uint16_t id = 0;
  outcome = ResolveFamily(&socket, name, Deadline(silence), &id);
  if (outcome.stage == Stage::kKernel) outcome.stage = Stage::kFamily;
  return outcome;
}

}  // namespace netlink
