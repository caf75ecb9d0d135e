using System.Text.Json.Serialization;
using Cloning.Disks;
using Cloning.Instances;
using Cloning.Shadow;

namespace Cloning;

/// <summary>Everything this project writes as JSON: files in the instance directory and messages to the shadow.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    WriteIndented = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DiskManifest))]
[JsonSerializable(typeof(InstanceConfig))]
[JsonSerializable(typeof(ShadowMessage))]
public sealed partial class CloningJson : JsonSerializerContext;
