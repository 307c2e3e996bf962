/* A plug-in of a far future: the entry begins like ours but says another interface version. */
#include <stdint.h>

struct entry {
  uint32_t magic;
  uint32_t interface_version;
};

const struct entry* duet_plugin(void) {
  static const struct entry entry = {0x74657564, 999};
  return &entry;
}
