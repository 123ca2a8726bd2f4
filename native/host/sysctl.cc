#include "host/sysctl.h"

#include <fcntl.h>

#include <cerrno>

#include "netlink/descriptor.h"

namespace host {

namespace {

using netlink::Descriptor;
using netlink::Failure;
using netlink::Outcome;
using netlink::Stage;

constexpr char kFolder[] = "/proc/sys/net";

// JavaScript checked the name already; this is the last door.
bool StaysInside(const std::string& name) {
  size_t start = 0;
  while (start <= name.size()) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string segment = name.substr(start, end - start);
    if (segment.empty() || segment == "." || segment == "..") return false;
    start = end + 1;
  }
  return name.find('\0') == std::string::npos;
}

Outcome OpenSetting(const std::string& name, int flags, Descriptor* opened) {
  if (!StaysInside(name)) return Failure(Stage::kSend, EINVAL);
  const Descriptor folder(open(kFolder, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder.valid()) return Failure(Stage::kKernel, errno);
  Descriptor file(openat(folder.get(), name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return Failure(Stage::kKernel, errno);
  *opened = std::move(file);
  return {};
}

}  // namespace

Outcome ReadSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                    const std::string& name, std::string* value) {
  return netlink::RunInNamespace(where, [&] {
    Descriptor file;
    Outcome outcome = OpenSetting(name, O_RDONLY, &file);
    if (!outcome.ok()) return outcome;
    char buffer[4096];
    for (;;) {
      const ssize_t size = read(file.get(), buffer, sizeof buffer);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Failure(Stage::kKernel, errno);
      if (size == 0) return Outcome{};
      value->append(buffer, static_cast<size_t>(size));
    }
  });
}

Outcome WriteSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                     const std::string& name, const std::string& value) {
  return netlink::RunInNamespace(where, [&] {
    Descriptor file;
    Outcome outcome = OpenSetting(name, O_WRONLY, &file);
    if (!outcome.ok()) return outcome;
    // The kernel takes a setting from one write; a second would be another setting.
    for (;;) {
      const ssize_t size = write(file.get(), value.data(), value.size());
      if (size >= 0) return Outcome{};
      if (errno != EINTR) return Failure(Stage::kKernel, errno);
    }
  });
}

}  // namespace host
