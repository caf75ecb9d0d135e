using System.Text.Json.Serialization;

namespace Virtio.Tests;

[JsonSerializable(typeof(VirtioTransportState))]
internal sealed partial class StateJson : JsonSerializerContext;
