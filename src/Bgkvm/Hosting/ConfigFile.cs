using System.Text.Json;
using Cloning;
using Cloning.Instances;

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
            return JsonSerializer.Deserialize(File.ReadAllBytes(directory.Config), CloningJson.Default.InstanceConfig)
                ?? throw new InstanceException($"{directory.Config} is empty");
        }
        catch (JsonException e)
        {
            throw new InstanceException($"{directory.Config} is damaged: {e.Message}", inner: e);
        }
    }

    /// <summary>Replaces it: a reader finds the old one or the new one.</summary>
    public static void Write(InstanceDirectory directory, InstanceConfig config)
    {
        string next = directory.Config + ".next";
        File.WriteAllBytes(next, JsonSerializer.SerializeToUtf8Bytes(config, CloningJson.Default.InstanceConfig));
        File.Move(next, directory.Config, overwrite: true);
    }
}
