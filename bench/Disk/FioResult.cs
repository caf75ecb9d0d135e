using System.Text.Json;

namespace Disk;

/// <summary>What fio found.</summary>
/// <param name="RequestsPerSecond">Requests that ended, a second.</param>
/// <param name="Requests">How many they were.</param>
internal sealed record FioResult(double RequestsPerSecond, long Requests)
{
    /// <summary>Reads fio's JSON.</summary>
    /// <exception cref="InvalidDataException">It has an error to report, or did nothing.</exception>
    public static FioResult Parse(string output)
    {
        // fio may say something before it.
        using JsonDocument document = JsonDocument.Parse(output[Math.Max(0, output.IndexOf('{', StringComparison.Ordinal))..]);
        JsonElement job = document.RootElement.GetProperty("jobs")[0];
        JsonElement read = job.GetProperty("read"), write = job.GetProperty("write");
        JsonElement done = read.GetProperty("total_ios").GetInt64() > 0 ? read : write;
        long requests = done.GetProperty("total_ios").GetInt64();
        if (job.GetProperty("error").GetInt32() != 0 || requests == 0) throw new InvalidDataException($"fio failed: {output}");
        return new FioResult(done.GetProperty("iops").GetDouble(), requests);
    }
}
