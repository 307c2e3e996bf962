#include "estimators/idx.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <span>
#include <string>
#include <zlib.h>

#include "core/errors.hpp"

namespace duet {
namespace {

// More than any data set of this format holds; keeps a corrupt header from asking for all memory.
constexpr std::int64_t max_bytes = std::int64_t{1} << 33;

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what) {
  throw ConfigError(fmt::format("{}: {}", file.string(), what));
}

/// A file that is decompressed as it is read if it is a gzip file.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path), file_(gzopen(path.c_str(), "rb"), &gzclose) {
    if (!file_ || !std::filesystem::is_regular_file(path)) fail(path, "cannot read the file");
    gzbuffer(file_.get(), 1 << 17);
  }

  /// Fills `bytes` as far as the file goes. \returns how many were read.
  std::size_t read(std::span<std::uint8_t> bytes) {
    std::size_t filled = 0;
    while (filled < bytes.size()) {
      const auto wanted = static_cast<unsigned>(std::min<std::size_t>(bytes.size() - filled, 1U << 30));
      const int got = gzread(file_.get(), bytes.data() + filled, wanted);
      int code = Z_OK;
      const char* message = gzerror(file_.get(), &code);
      if (code == Z_BUF_ERROR) fail(path_, "the compressed file is truncated");
      if (got < 0) fail(path_, fmt::format("cannot decompress the file ({})", message));
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
    }
    return filled;
  }

 private:
  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

std::filesystem::path plain_or_compressed(const std::filesystem::path& directory, const std::string& name) {
  for (const char* suffix : {"", ".gz"}) {
    const std::filesystem::path file = directory / (name + suffix);
    if (std::filesystem::exists(file)) return file;
  }
  throw ConfigError(fmt::format("{}: there is neither '{}' nor '{}.gz'", directory.string(), name, name));
}

}  // namespace

IdxArray read_idx(const std::filesystem::path& file, std::size_t rank) {
  Reader reader(file);

  // Two zero bytes, the type of the elements (8: unsigned byte) and the rank, then big-endian extents.
  std::vector<std::uint8_t> header(4 + 4 * rank);
  const std::size_t got = reader.read(header);
  if (got < 4) fail(file, "the file is truncated: it ends within the IDX header");
  if (header[0] != 0 || header[1] != 0) {
    fail(file, fmt::format("not an IDX file: it begins with the bytes {:02x} {:02x} instead of 00 00",
                           header[0], header[1]));
  }
  if (header[2] != 8) {
    fail(file, fmt::format("holds elements of IDX type {:#04x}; only unsigned bytes (0x08) are understood",
                           header[2]));
  }
  if (header[3] != rank) fail(file, fmt::format("has {} dimensions, expected {}", header[3], rank));
  if (got < header.size()) fail(file, "the file is truncated: it ends within the IDX header");

  IdxArray array;
  std::int64_t bytes = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::uint8_t* extent = header.data() + 4 + 4 * i;
    array.shape.push_back(std::int64_t{extent[0]} << 24 | std::int64_t{extent[1]} << 16 | extent[2] << 8 |
                          extent[3]);
    if (array.shape.back() == 0) fail(file, fmt::format("dimension {} is empty", i));
    if (array.shape.back() > max_bytes / bytes) fail(file, "the IDX header announces more than 8 GiB");
    bytes *= array.shape.back();
  }

  array.values.resize(static_cast<std::size_t>(bytes));
  if (const std::size_t values = reader.read(array.values); values < array.values.size()) {
    fail(file, fmt::format("the file is truncated: it holds {} of {} bytes", values, bytes));
  }
  std::uint8_t beyond = 0;
  if (reader.read({&beyond, 1}) != 0)
    fail(file, fmt::format("holds more than the {} bytes it announces", bytes));
  return array;
}

ImageSet ImageSet::subset(const std::vector<std::int64_t>& positions) const {
  ImageSet result{height, width, {}, {}};
  result.pixels.reserve(positions.size() * static_cast<std::size_t>(pixels_per_image()));
  result.labels.reserve(positions.size());
  for (const std::int64_t position : positions) {
    const auto image = pixels.begin() + position * pixels_per_image();
    result.pixels.insert(result.pixels.end(), image, image + pixels_per_image());
    result.labels.push_back(labels[static_cast<std::size_t>(position)]);
  }
  return result;
}

ImageSet read_images(const std::filesystem::path& directory, ImagePart part) {
  const std::string prefix = part == ImagePart::train ? "train" : "t10k";
  const std::filesystem::path image_file = plain_or_compressed(directory, prefix + "-images-idx3-ubyte");
  const std::filesystem::path label_file = plain_or_compressed(directory, prefix + "-labels-idx1-ubyte");
  IdxArray images = read_idx(image_file, 3);
  IdxArray labels = read_idx(label_file, 1);
  if (images.shape[0] != labels.shape[0]) {
    fail(label_file, fmt::format("holds {} labels for the {} images of {}", labels.shape[0], images.shape[0],
                                 image_file.filename().string()));
  }
  return {images.shape[1], images.shape[2], std::move(images.values), std::move(labels.values)};
}

}  // namespace duet
