using System.Text.Json;
using System.Text.Json.Nodes;
using Cloning;
using Cloning.Instances;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary><c>config.json</c>: what the user asked for. Written only under the instance's lock.</summary>
internal static class ConfigFile
{
    /// <summary>Reads it.</summary>
    /// <exception cref="InstanceException">It is damaged.</exception>
    public static InstanceConfig Read(InstanceDirectory directory)
    {
        try
        {
            JsonNode? json = JsonNode.Parse(File.ReadAllBytes(directory.Config));
            if (json is JsonObject config) JoinDisks(config);
            InstanceConfig? read = json?.Deserialize(CloningJson.Default.InstanceConfig);
            return read?.Disks is null ? throw new InstanceException($"{directory.Config} is empty") : read;
        }
        catch (JsonException e)
        {
            throw new InstanceException($"{directory.Config} is damaged: {e.Message}", inner: e);
        }
    }

    /// <summary>Replaces it, durably: a reader finds the old one or the new one.</summary>
    public static void Write(InstanceDirectory directory, InstanceConfig config)
    {
        string next = directory.Config + ".next";
        using (FileStream file = new(next, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            JsonSerializer.Serialize(file, config, CloningJson.Default.InstanceConfig);
            file.Flush(flushToDisk: true);
        }

        File.Move(next, directory.Config, overwrite: true);
        Libc.SyncDirectoryOf(directory.Config);
    }

    /// <summary>Up to version 0.1 there were two lists, and the guest saw the system disks first.</summary>
    private static void JoinDisks(JsonObject config)
    {
        if (config["systemDisks"] is not JsonArray system || config["persistentDisks"] is not JsonArray persistent) return;
        config["disks"] = new JsonArray([
            .. system.Select(disk => disk!.DeepClone()),
            .. persistent.Select(path => new JsonObject
            {
                ["path"] = path!.GetValue<string>(),
                ["format"] = "raw",
                ["readOnly"] = false,
                ["persistent"] = true,
            })]);
        config.Remove("systemDisks");
        config.Remove("persistentDisks");
    }
}
