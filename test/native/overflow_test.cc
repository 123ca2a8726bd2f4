// The machine's own netlink sockets, with too little room for the replies to one send. A batch asks
// for one acknowledgement, so a refusal that is lost unseen would be told as a success; the kernel
// says with ENOBUFS that it lost some, before anything that it kept.

#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iostream>

#include "faults.h"
#include "netlink/family.h"

namespace {

using faults::Check;
using faults::Describe;
using faults::Is;
using netlink::Outcome;
using netlink::RequestBatch;
using netlink::Socket;
using netlink::Stage;

constexpr size_t kMessages = 128;  // of a send
constexpr int kSilence = 5000;     // ms; never waited for

// A request that anybody may make and that changes nothing.
using Write = void (*)(RequestBatch* batch, bool is_refused);

struct Kind {
  const char* name;
  int protocol;
  Write write;
  int refusal;
};

// A family's number; of the controller itself, or by a command that it has not.
void WriteGeneric(RequestBatch* batch, bool is_refused) {
  const uint8_t command = is_refused ? 200 : CTRL_CMD_GETFAMILY;
  netlink::MessageWriter& writer = netlink::BeginGeneric(batch, GENL_ID_CTRL, command, 1, 0);
  writer.Attribute(CTRL_ATTR_FAMILY_NAME, "nlctrl", sizeof "nlctrl");
  writer.End();
}

// A device; the loopback, or one that is not there.
void WriteRoute(RequestBatch* batch, bool is_refused) {
  netlink::MessageWriter& writer = batch->Begin(RTM_GETLINK, 0);
  ifinfomsg header{};
  header.ifi_index = is_refused ? 0x7ffffffe : 1;
  writer.Append(&header, sizeof header);
  writer.End();
}

constexpr Kind kKinds[] = {
    {"generic", NETLINK_GENERIC, WriteGeneric, EOPNOTSUPP},
    {"route", NETLINK_ROUTE, WriteRoute, ENODEV},
};

// Whether all was told as it is. Otherwise all of it has to be unknown. The last request of a send
// is refused, too, or is not.
bool IsTold(const Kind& kind, int room, bool is_last_refused) {
  peer::StepAside([room](int descriptor) {
    if (room > 0) setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  });
  Socket socket;
  Check(Socket::Open(kind.protocol, nullptr, &socket).ok(), "there is a socket");
  RequestBatch batch(&socket);
  for (size_t i = 0; i < kMessages; ++i) {
    kind.write(&batch, i + 1 < kMessages || is_last_refused);
  }
  std::vector<Outcome> told;
  const Outcome outcome = netlink::Exchange(&socket, &batch, netlink::Deadline(kSilence), &told,
                                            [](size_t, const netlink::Message&) { return true; });
  Check(told.size() == kMessages, "each request has an outcome");
  const std::string what = std::string(kind.name) + " in " + std::to_string(room) + ": ";
  const size_t refused = kMessages - (is_last_refused ? 0 : 1);
  for (size_t i = 0; i < kMessages; ++i) {
    if (!outcome.ok()) {
      Check(Is(told[i], Stage::kReply, ENOBUFS), what + "it is unknown: " + Describe(told[i]));
    } else if (i < refused) {
      Check(Is(told[i], Stage::kKernel, kind.refusal), what + "refused: " + Describe(told[i]));
    } else {
      Check(told[i].ok(), what + "done: " + Describe(told[i]));
    }
  }
  Check(outcome.ok() == netlink::LeavesUsable(outcome), "and the socket is given up");
  return outcome.ok();
}

// In any room either all of it is told as it is, or all of it is unknown.
void TestRooms() {
  size_t whole = 0;
  size_t unknown = 0;
  for (const Kind& kind : kKinds) {
    for (int room = 1; room < 100'000; room += 1'499) {
      for (const bool is_last_refused : {true, false}) {
        ++(IsTold(kind, room, is_last_refused) ? whole : unknown);
      }
    }
    Check(!IsTold(kind, 1, true) && !IsTold(kind, 1, false), "the least room is too little");
  }
  Check(whole > 0 && unknown > 0, "the rooms are as meant");
  std::cout << whole << " sends of which all was told, " << unknown << " of which nothing was\n";
}

// As the socket is shipped, and with what a process gets that may not force it larger.
void TestRoomForASend() {
  constexpr int kDefault = 212'992 / 2;  // the kernel doubles it
  for (const Kind& kind : kKinds) {
    for (const int room : {0, kDefault}) {
      Check(IsTold(kind, room, true) && IsTold(kind, room, false), "a send's replies have room");
    }
  }
}

}  // namespace

int main() {
  faults::Run({
      TEST(Rooms),
      TEST(RoomForASend),
  });
}
