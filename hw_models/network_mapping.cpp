#include "hw_models/network_mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <utility>

#include "hw_models/number_format.hpp"

namespace duet {
namespace {

void map_layer(LayerMapping& layer, const Architecture& architecture, const Mapper& mapper, const MapperRequest& request,
               const NetworkMappingOptions& options) {
  const CostModel model(layer.workload.einsum, packed(architecture, layer.workload.format), options.cost);
  const Fingerprint key = mapping_key(model, mapper.name(), request);
  std::optional<MapperResult> known;
  if (options.cache != nullptr) known = options.cache->find(key, model, request.objective);
  layer.cached = known.has_value();
  layer.result = known ? *std::move(known) : mapper.map(model, request);
  if (options.cache != nullptr && !layer.cached) options.cache->insert(key, layer.result, model);
  if (layer.result.mapping) layer.cost = model.evaluate(*layer.result.mapping);
}

}  // namespace

NetworkMapping map_einsums(std::vector<RepeatedEinsum> workloads, const Architecture& architecture, const Mapper& mapper,
                           const MapperRequest& request, const NetworkMappingOptions& options) {
  NetworkMapping network;
  network.layers.resize(workloads.size());
  for (std::size_t i = 0; i < workloads.size(); ++i) network.layers[i].workload = std::move(workloads[i]);

  const std::size_t threads = static_cast<std::size_t>(std::max(1, options.threads));
  const std::size_t workers = std::min(threads, std::max<std::size_t>(1, network.layers.size()));
  MapperRequest each = request;
  each.threads = static_cast<int>(threads / workers);
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> failures(network.layers.size());
  const auto work = [&] {
    for (std::size_t i = next++; i < network.layers.size(); i = next++) {
      try {
        map_layer(network.layers[i], architecture, mapper, each, options);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < workers; ++i) others.emplace_back(work);
    work();
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }

  for (const LayerMapping& layer : network.layers) {
    network.evaluations += layer.result.evaluations;
    network.complete = network.complete && layer.result.complete;
    if (!layer.result.mapping) {
      if (network.why_none.empty()) {
        const std::string name = layer.workload.names.empty() ? "a layer" : "layer '" + layer.workload.names.front() + "'";
        network.why_none = fmt::format("{}: {}", name, layer.result.why_none);
      }
      continue;
    }
    const auto repeats = static_cast<double>(layer.workload.repeats);
    network.macs += repeats * layer.cost.macs;
    network.cycles += repeats * layer.cost.cycles;
    network.energy_j += repeats * layer.cost.energy_j;
  }
  network.latency_s = network.cycles / architecture.clock_hz;
  if (network.cycles > 0) {
    network.utilization = network.macs / (static_cast<double>(architecture.compute.instances()) * network.cycles);
  }
  return network;
}

NetworkMapping map_network(const Network& network, const Architecture& architecture, const Mapper& mapper,
                           const MapperRequest& request, const NetworkMappingOptions& options) {
  return map_einsums(einsums(network), architecture, mapper, request, options);
}

}  // namespace duet
