using System.Text.Json.Serialization;

namespace Report;

/// <summary>What a shadow takes away from its instance.</summary>
/// <param name="Shadows">What went on beside the foreground; the first is nothing.</param>
/// <param name="Cells">Every measurement.</param>
/// <param name="Ready">How long background reboots took.</param>
public sealed record InterferenceMeasurement(
    IReadOnlyList<string> Shadows, IReadOnlyList<InterferenceCell> Cells, IReadOnlyList<ReadyTime> Ready);

/// <summary>One measurement.</summary>
/// <param name="Workload">What the foreground did.</param>
/// <param name="Shadow">What went on beside it.</param>
/// <param name="Sample">What came of it.</param>
public sealed record InterferenceCell(string Workload, string Shadow, InterferenceSample Sample);

/// <summary>What a workload achieved.</summary>
/// <param name="Rate">Rounds or requests a second.</param>
/// <param name="P50Micros">Median latency, or null where there are no requests.</param>
/// <param name="P99Micros">The latency that one in a hundred exceeds.</param>
public sealed record InterferenceSample(double Rate, long? P50Micros, long? P99Micros);

/// <summary>How long a background reboot took.</summary>
/// <param name="Name">Beside what.</param>
/// <param name="Millis">From the request until the instance ran the new OS.</param>
public sealed record ReadyTime(string Name, long Millis);

/// <summary>How it becomes a file and a file it.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(InterferenceMeasurement))]
[JsonSerializable(typeof(HostDescription))]
public sealed partial class InterferenceJson : JsonSerializerContext;
