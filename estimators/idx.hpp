#pragma once
/// Labelled images in the IDX format of MNIST (LeCun, Cortes and Burges, "The MNIST database of handwritten
/// digits", section "File formats"), plain or compressed with gzip.

#include <cstdint>
#include <filesystem>
#include <vector>

namespace duet {

/// An array of unsigned bytes, the last dimension fastest.
struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> values;
};

/// \throws ConfigError, naming the file and what is wrong with it, if it cannot be read or decompressed, does
/// not hold unsigned bytes in `rank` dimensions, or is shorter or longer than its header says.
IdxArray read_idx(const std::filesystem::path& file, std::size_t rank);

/// Labelled grey images. A regular value.
struct ImageSet {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> pixels;  ///< (size, height, width); 0 is black
  std::vector<std::uint8_t> labels;  ///< (size): classes 0, 1, …

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  std::int64_t pixels_per_image() const { return height * width; }
  /// The images at these positions, in their order. Each is in [0, size).
  ImageSet subset(const std::vector<std::int64_t>& positions) const;

  bool operator==(const ImageSet&) const = default;
};

enum class ImagePart { train, test };

/// Reads the pair of files of one part in a directory under the names that MNIST gave them:
/// "train-images-idx3-ubyte" and "train-labels-idx1-ubyte", or "t10k-…" for the test part; ".gz" may follow.
/// \throws ConfigError as read_idx does, and if a file is absent or the numbers of images and labels differ.
ImageSet read_images(const std::filesystem::path& directory, ImagePart part);

}  // namespace duet
