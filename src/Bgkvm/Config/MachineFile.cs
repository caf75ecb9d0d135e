using System.Reflection;
using System.Text;
using System.Text.Json;
using Bgkvm.Commands;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Config;

/// <summary>
/// A machine as a file describes it: everything that <c>bgkvm start</c> can be told, as JSON. <c>machine.schema.json</c> describes
/// the same to editors; a test holds the two against each other.
/// </summary>
internal static class MachineFile
{
    private const int MaximumDisks = 8;
    private static readonly string[] s_keys =
        ["$schema", "disks", "kernel", "initrd", "append", "firmware", "memory", "cpus", "ready", "readyCommand"];
    private static readonly string[] s_diskKeys = ["path", "format", "readOnly", "persistent", "cache"];

    /// <summary>Reads one. Paths in it start where the file is.</summary>
    /// <returns>What it says, as if it had been said on the command line.</returns>
    /// <exception cref="InstanceException">What is wrong, where, and what would be right; or it cannot be read.</exception>
    public static StartOptions Read(string file)
    {
        byte[] json = ReadBytes(file);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return Read(new JsonPlace(file, "$", document.RootElement), Path.GetDirectoryName(Path.GetFullPath(file))!);
        }
        catch (JsonException e)
        {
            throw new InstanceException(
                $"{file}: line {e.LineNumber + 1}, column {e.BytePositionInLine + 1}: this is not JSON: {e.Message.Split(" LineNumber:")[0]}", ExitCode.Usage, e);
        }
    }

    /// <summary>The schema: a JSON document.</summary>
    public static Stream OpenSchema() => Assembly.GetExecutingAssembly().GetManifestResourceStream("machine.schema.json")!;

    private static byte[] ReadBytes(string file)
    {
        try
        {
            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InstanceException($"the machine file cannot be read: {e.Message}", inner: e);
        }
    }

    private static StartOptions Read(JsonPlace root, string directory)
    {
        Dictionary<string, JsonPlace> keys = root.Members(s_keys);
        JsonPlace? At(string key) => keys.TryGetValue(key, out JsonPlace place) ? place : null;
        string? FileAt(string key) => At(key)?.Text("the path of a file") is { } path ? Path.GetFullPath(path, directory) : null;

        _ = At("$schema")?.Text("where the schema is");
        if (At("disks") is not { } disks) throw root.Wrong("the key disks is missing; write \"disks\": [ { \"path\": \"...\" } ]");
        if (At("kernel") is null && At("firmware") is null) throw root.Wrong("write one of the keys kernel and firmware");
        if (At("kernel") is not null) Exclude("firmware", "kernel", "leave one of them out");
        if (At("firmware") is not null)
            foreach (string key in (string[])["initrd", "append"]) Exclude(key, "firmware", "firmware reads the guest's own");
        if (At("ready") is not null) Exclude("readyCommand", "ready", "leave one of them out");
        string? firmware = At("firmware")?.Text("\"auto\" or the path of a file");
        return new StartOptions(
            Disks(disks, directory),
            FileAt("kernel"),
            firmware is null or FirmwareFile.Auto ? firmware : Path.GetFullPath(firmware, directory),
            FileAt("initrd"),
            At("append") is { } append ? CommandLine(append) : null,
            At("memory") is { } memory ? Memory(memory) : null,
            At("cpus")?.Number(1, StartCommand.MaximumCpus),
            At("ready")?.Text("a regular expression"),
            At("readyCommand")?.Text("a shell command"),
            IsComplete: true);

        void Exclude(string key, string other, string advice)
        {
            if (At(key) is { } place) throw place.Wrong($"{key} does not go with {other}; {advice}");
        }
    }

    private static DiskConfig[] Disks(JsonPlace place, string directory)
    {
        DiskConfig[] disks = [.. place.Elements(1, MaximumDisks).Select(disk => Disk(disk, directory))];
        return disks.All(disk => disk.Persistent)
            ? throw place.Wrong("all of them are persistent; write one at least without \"persistent\": true, for the system")
            : disks;
    }

    private static DiskConfig Disk(JsonPlace place, string directory)
    {
        Dictionary<string, JsonPlace> keys = place.Members(s_diskKeys);
        bool Says(string key) => keys.TryGetValue(key, out JsonPlace at) && at.Truth();
        if (!keys.TryGetValue("path", out JsonPlace path)) throw place.Wrong("the key path is missing; write \"path\": \"...\"");
        bool persistent = Says("persistent");
        // Raw unless it is told, as on the command line.
        string format = keys.TryGetValue("format", out JsonPlace told) ? told.Choice("raw", "qcow2") : "raw";
        string cache = keys.TryGetValue("cache", out JsonPlace way) ? way.Choice("writeback", "none") : "writeback";
        if (persistent && format != "raw") throw told.Wrong("a persistent disk is raw; write \"raw\", or leave the key out");
        if (persistent && Says("readOnly")) throw keys["readOnly"].Wrong("a persistent disk is writable; leave the key out");
        if (!persistent && keys.ContainsKey("cache")) throw way.Wrong("only a persistent disk has it; leave the key out");
        return new DiskConfig(
            Path.GetFullPath(path.Text("the path of a file or block device"), directory), format, Says("readOnly"), persistent, cache == "none");
    }

    private static int Memory(JsonPlace place)
    {
        const string example = "\"512M\" or \"6G\"";
        return MemorySize.TryParse(place.Text(example), out int mib) ? mib
            : throw place.Wrong($"\"{place.Value.GetString()}\" is not a memory size; write {example}, at least \"{MemorySize.MinimumMiB}M\"");
    }

    private static string CommandLine(JsonPlace place)
    {
        string text = place.Text("the kernel's command line");
        int bytes = Encoding.UTF8.GetByteCount(text);
        return bytes <= StartCommand.MaximumCommandLineBytes ? text
            : throw place.Wrong($"it has {bytes} bytes; the kernel takes {StartCommand.MaximumCommandLineBytes}");
    }
}
