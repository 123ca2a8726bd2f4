{
  "targets": [
    {
      "target_name": "ipvs_netlink",
      "sources": [
        "native/addon.cc",
        "native/connection.cc",
        "native/convert.cc",
        "native/host_connection.cc",
        "native/layout.cc",
        "native/testing.cc",
        "native/threads.cc",
        "native/typed_arrays.cc",
        "native/worker.cc",
        "native/netlink/socket.cc",
        "native/netlink/message.cc",
        "native/netlink/exchange.cc",
        "native/netlink/family.cc",
        "native/netlink/namespace.cc",
        "native/netlink/table.cc",
        "native/netlink/pattern.cc",
        "native/ipvs/attributes.cc",
        "native/ipvs/codec.cc",
        "native/ipvs/columns.cc",
        "native/ipvs/changes.cc",
        "native/ipvs/client.cc",
        "native/ipvs/identity.cc",
        "native/ipvs/patch.cc",
        "native/route/addresses.cc",
        "native/route/announce.cc",
        "native/route/dump.cc",
        "native/route/fou.cc",
        "native/route/links.cc",
        "native/host/sysctl.cc",
        "native/host/text_file.cc"
      ],
      "include_dirs": ["native"],
      "defines": ["NAPI_VERSION=8", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-rtti"],
      "dependencies": [
        "<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"
      ]
    }
  ]
}
