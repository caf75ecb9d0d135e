using System.Globalization;

namespace Interference;

/// <summary>What is to be measured.</summary>
/// <param name="Time">How long each workload runs.</param>
/// <param name="Repetitions">How many times round.</param>
/// <param name="Workloads">The table's rows.</param>
/// <param name="Shadows">The table's columns, "none" first.</param>
/// <param name="IsPart">Whether rows or columns were chosen: then the times until ready are not measured either.</param>
internal sealed record Plan(TimeSpan Time, int Repetitions, Workload[] Workloads, ShadowKind[] Shadows, bool IsPart)
{
    private const int Repeats = 5, QuickSeconds = 3, Seconds = 8;

    /// <summary>Reads the command line's.</summary>
    /// <returns>Null: it is not one.</returns>
    public static Plan? Parse(ReadOnlySpan<string> options)
    {
        bool quick = false;
        int? repetitions = null, seconds = null;
        List<Workload> workloads = [];
        List<ShadowKind> shadows = [];
        for (int i = 0; i < options.Length; i++)
        {
            if (options[i] == "--quick")
            {
                quick = true;
                continue;
            }

            string? value = ++i < options.Length ? options[i] : null;
            switch (options[i - 1])
            {
                case "--repetitions" when int.TryParse(value, CultureInfo.InvariantCulture, out int count) && count > 0:
                    repetitions = count;
                    break;
                case "--seconds" when int.TryParse(value, CultureInfo.InvariantCulture, out int count) && count > 0:
                    seconds = count;
                    break;
                case "--workload" when Workload.All.FirstOrDefault(workload => workload.Name == value) is { } workload:
                    workloads.Add(workload);
                    break;
                case "--shadow" when ShadowKind.Columns.FirstOrDefault(shadow => shadow.Name == value) is { } shadow:
                    shadows.Add(shadow);
                    break;
                default:
                    return null;
            }
        }

        return new Plan(
            TimeSpan.FromSeconds(seconds ?? (quick ? QuickSeconds : Seconds)),
            repetitions ?? (quick ? 1 : Repeats),
            workloads.Count > 0 ? [.. workloads.Distinct()] : Workload.All,
            shadows.Count > 0 ? [.. shadows.Prepend(ShadowKind.None).Distinct()] : quick ? ShadowKind.Ends : ShadowKind.Columns,
            workloads.Count + shadows.Count > 0);
    }
}
