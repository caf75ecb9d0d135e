using System.Text.Json;
using System.Text.Json.Serialization;
using Vmm.Machines;

namespace Vmm.Tests.Machines;

/// <summary>A machine's state through the same kind of JSON that takes it to a shadow process and back.</summary>
[JsonSourceGenerationOptions(UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(MachineState))]
internal sealed partial class MachineStateJson : JsonSerializerContext
{
    public static MachineState RoundTrip(MachineState state) => JsonSerializer.Deserialize(Bytes(state), Default.MachineState)!;

    public static byte[] Bytes(MachineState state) => JsonSerializer.SerializeToUtf8Bytes(state, Default.MachineState);
}
