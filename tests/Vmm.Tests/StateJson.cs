using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Vmm.Devices;
using Xunit;

namespace Vmm.Tests;

/// <summary>Device states through the same kind of JSON that carries them between processes.</summary>
internal static class StateJson
{
    public static T RoundTrip<T>(T state) => JsonSerializer.Deserialize(Text(state), Info<T>())!;

    public static void AssertEqual<T>(T expected, T actual) => Assert.Equal(Text(expected), Text(actual));

    private static string Text<T>(T state) => JsonSerializer.Serialize(state, Info<T>());

    private static JsonTypeInfo<T> Info<T>() => (JsonTypeInfo<T>)StateJsonContext.Default.GetTypeInfo(typeof(T))!;
}

[JsonSerializable(typeof(Serial8250State))]
[JsonSerializable(typeof(CmosState))]
[JsonSerializable(typeof(I8042State))]
[JsonSerializable(typeof(ResetRegisterState))]
[JsonSerializable(typeof(AcpiDeviceState))]
internal sealed partial class StateJsonContext : JsonSerializerContext;
