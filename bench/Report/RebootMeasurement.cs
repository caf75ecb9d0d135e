using System.Text.Json.Serialization;

namespace Report;

/// <summary>Reboots of one guest with one memory size, seen from inside (what bgkvm reports) and from outside (what its console answers).</summary>
/// <param name="Guest">Which guest.</param>
/// <param name="Host">Where: "emulated" or "direct", as <c>scripts/rig mode</c> has it.</param>
/// <param name="MemoryMiB">Its memory.</param>
/// <param name="IntervalMicros">How often its console is asked.</param>
/// <param name="Undisturbed">Times between answers while nothing happens: what the measure can resolve.</param>
/// <param name="InPlace">Reboots in place.</param>
/// <param name="Background">Background reboots.</param>
public sealed record RebootMeasurement(
    string Guest,
    string Host,
    int MemoryMiB,
    long IntervalMicros,
    Percentiles Undisturbed,
    IReadOnlyList<InPlaceRun> InPlace,
    IReadOnlyList<BackgroundRun> Background);

/// <summary>One reboot in place.</summary>
/// <param name="DowntimeMicros">By bgkvm's clock: from the request until ready.</param>
/// <param name="SilenceMicros">From the old OS's last answer to the first of the new one's login prompt.</param>
public sealed record InPlaceRun(long DowntimeMicros, long SilenceMicros);

/// <summary>One background reboot.</summary>
/// <param name="CloneMicros">Clone pause by bgkvm's clock.</param>
/// <param name="QuiesceMicros">Time for quiescing.</param>
/// <param name="SwitchMicros">Switch pause.</param>
/// <param name="TotalMillis">From the request to the end.</param>
/// <param name="CloneSilenceMicros">The longest silence around the fork.</param>
/// <param name="SwitchSilenceMicros">The longest silence around the switch, quiescing included.</param>
/// <param name="LongestSilenceMicros">The longest of all from the request to a second after the end.</param>
/// <param name="OwnStallMicros">The longest time that the one who asks stood still itself: a silence no longer than that is not the guest's.</param>
/// <param name="Phases">When each phase began.</param>
/// <param name="Answers">When answers came.</param>
public sealed record BackgroundRun(
    long CloneMicros,
    long QuiesceMicros,
    long SwitchMicros,
    long TotalMillis,
    long CloneSilenceMicros,
    long SwitchSilenceMicros,
    long LongestSilenceMicros,
    long OwnStallMicros,
    IReadOnlyList<PhaseStart> Phases,
    IReadOnlyList<long> Answers)
{
    /// <summary>Clone + quiesce + switch.</summary>
    [JsonIgnore]
    public long DowntimeMicros => CloneMicros + QuiesceMicros + SwitchMicros;
}

/// <summary>The beginning of a phase.</summary>
/// <param name="Name">What <c>bgkvm reboot</c> calls it.</param>
/// <param name="AtMicros">Since the request.</param>
public sealed record PhaseStart(string Name, long AtMicros);

/// <summary>How measurements become files and files measurements.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = false)]
[JsonSerializable(typeof(RebootMeasurement))]
public sealed partial class RebootMeasurementJson : JsonSerializerContext;
