using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>
/// Structures, request codes and constants are what the C compiler reads in the kernel's and libc's headers.
/// </summary>
public sealed partial class LayoutTests
{
    private const BindingFlags AnyStatic = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

    private const string Headers = """
        #define _GNU_SOURCE
        #include <stddef.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <poll.h>
        #include <sched.h>
        #include <signal.h>
        #include <unistd.h>
        #include <sys/eventfd.h>
        #include <sys/ioctl.h>
        #include <sys/mman.h>
        #include <sys/resource.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <sys/uio.h>
        #include <sys/un.h>
        #include <linux/falloc.h>
        #include <linux/fs.h>
        #include <linux/kvm.h>
        #include <linux/sched.h>

        """;

    /// <summary>
    /// Names that the headers of Debian 12 (Linux 6.1) do not have yet: checked where the headers have them.
    /// </summary>
    private static readonly HashSet<string> s_newerThanHeaders = [];

    [Fact]
    public void Structures_have_the_layout_of_the_kernels_headers()
    {
        StringBuilder c = new(Headers);
        foreach ((Type type, string name, int size, string fields) in StructMap.All)
        {
            c.AppendLine($"_Static_assert(sizeof({name}) == {size}, \"{type.Name}\");");
            string[] names = fields.Split(' ');
            FieldInfo[] members = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
            bool array = type.GetCustomAttribute<InlineArrayAttribute>() is not null;
            Assert.True(array || members.Length == names.Length,
                $"{type.Name} has {members.Length} fields, C {names.Length}");
            for (int i = 0; i < names.Length; i++)
            {
                string what = $"{type.Name}.{members[i].Name}";
                int length = array ? size : SizeOf(members[i].FieldType);
                int offset = OffsetOf(members[i]);
                c.AppendLine($"_Static_assert(offsetof({name}, {names[i]}) == {offset}, \"offset of {what}\");");
                c.AppendLine($"_Static_assert(sizeof((({name} *)0)->{names[i]}) == {length}, \"size of {what}\");");
            }
        }

        CCompiler.AssertCompiles(c.ToString());
    }

    [Fact]
    public void Structures_have_the_sizes_written_down_here()
    {
        foreach ((Type type, _, int size, _) in StructMap.All) Assert.Equal((type, size), (type, SizeOf(type)));
    }

    [Fact]
    public void No_structure_is_left_out()
    {
        IEnumerable<Type> structures = typeof(KvmRegs).Assembly.GetTypes().Where(t =>
            t is { IsValueType: true, IsEnum: false, IsGenericType: false, IsPublic: true }
            && t.Name.StartsWith("Kvm", StringComparison.Ordinal));
        // Arrays of a structure are checked as the field that holds them.
        IEnumerable<Type> arrays = structures.Where(t =>
            t.GetCustomAttribute<InlineArrayAttribute>() is not null
            && t.GetFields(BindingFlags.Instance | BindingFlags.NonPublic)[0].FieldType is { IsPrimitive: false });
        Assert.Empty(structures.Except(arrays).Except(StructMap.All.Select(s => s.Type)));
    }

    [Fact]
    public void The_shared_page_has_the_layout_of_the_kernels_headers() => CCompiler.AssertCompiles(Headers + $"""
        _Static_assert(sizeof(struct kvm_run) == 2352, "size");
        _Static_assert(offsetof(struct kvm_run, immediate_exit) == {KvmRun.ImmediateExitOffset}, "immediate_exit");
        _Static_assert(offsetof(struct kvm_run, exit_reason) == {KvmRun.ExitReasonOffset}, "exit_reason");
        _Static_assert(offsetof(struct kvm_run, io) == {KvmRun.UnionOffset}, "io");
        _Static_assert(offsetof(struct kvm_run, mmio) == {KvmRun.UnionOffset}, "mmio");
        _Static_assert(offsetof(struct kvm_run, internal.suberror) == {KvmRun.UnionOffset}, "internal");
        _Static_assert(offsetof(struct kvm_run, system_event.type) == {KvmRun.UnionOffset}, "system_event");
        _Static_assert(offsetof(struct kvm_run, fail_entry) == {KvmRun.UnionOffset}, "fail_entry");
        _Static_assert(KVM_RUN == {KvmRun.KvmRunCode}, "KVM_RUN");

        """);

    [Fact]
    public void Signal_actions_have_the_layout_of_libcs_headers() => CCompiler.AssertCompiles(Headers + $"""
        _Static_assert(sizeof(struct sigaction) == {KickSignal.SigactionSize}, "size");
        _Static_assert(offsetof(struct sigaction, sa_handler) == 0, "handler");
        _Static_assert(sizeof(sigset_t) == {KickSignal.SigsetSize}, "sigset_t");
        _Static_assert(offsetof(struct sigaction, sa_flags) == {KickSignal.FlagsOffset}, "flags");

        """);

    [Fact]
    public void Request_codes_are_the_kernels()
    {
        FieldInfo[] ioctls = typeof(KvmIoctls).GetFields();
        Assert.NotEmpty(ioctls);
        AssertEqualInC(ioctls.Select(f => (f.Name, (long)(nuint)Property(f, "Code"))));
        // The name in an error message is the C name.
        Assert.All(ioctls, f => Assert.Equal(f.Name, Property(f, "Name")));

        static object Property(FieldInfo ioctl, string name) =>
            ioctl.FieldType.GetProperty(name)!.GetValue(ioctl.GetValue(null))!;
    }

    [Fact]
    public void Capabilities_and_exit_reasons_are_the_kernels()
    {
        AssertEqualInC(Enum.GetValues<KvmCap>().Select(c => ($"KVM_CAP_{Snake(c.ToString())}", (long)c)));
        AssertEqualInC(Enum.GetValues<KvmExit>().Select(e => ($"KVM_EXIT_{Snake(e.ToString())}", (long)e)));
    }

    [Fact]
    public void Constants_under_a_C_name_are_libcs()
    {
        FieldInfo[] constants = [.. typeof(Libc).Assembly.GetTypes()
            .SelectMany(t => t.GetFields(AnyStatic))
            .Where(f => f.IsLiteral && f.FieldType.IsPrimitive && CName().IsMatch(f.Name))];
        Assert.Contains(constants, f => f.Name == nameof(Libc.O_CLOEXEC));
        AssertEqualInC(constants.Select(f => (f.Name, Convert.ToInt64(f.GetRawConstantValue()))));
    }

    private static void AssertEqualInC(IEnumerable<(string Name, long Value)> constants)
    {
        StringBuilder c = new(Headers);
        foreach ((string name, long value) in constants)
        {
            string assertion = $"_Static_assert(({name}) == {value}, \"{name} is not {value}\");";
            c.AppendLine(s_newerThanHeaders.Contains(name) ? $"#ifdef {name}\n{assertion}\n#endif" : assertion);
        }

        CCompiler.AssertCompiles(c.ToString());
    }

    private static string Snake(string pascal) => WordStart().Replace(pascal, "_$0").ToUpperInvariant();

    private static int SizeOf(Type type) =>
        (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    // Marshal.OffsetOf speaks of the marshalled layout, which these types do not have.
    private static int OffsetOf(FieldInfo field)
    {
        Type byReference = field.DeclaringType!.MakeByRefType();
        DynamicMethod method = new("offset", typeof(long), [byReference], typeof(LayoutTests), skipVisibility: true);
        ILGenerator il = method.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldflda, field);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Sub);
        il.Emit(OpCodes.Conv_I8);
        il.Emit(OpCodes.Ret);
        return (int)(long)method.Invoke(null, [Activator.CreateInstance(field.DeclaringType!)])!;
    }

    [GeneratedRegex("^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$|^SYS_[a-z_]+$")]
    private static partial Regex CName();

    [GeneratedRegex("(?<=[a-z0-9])[A-Z]")]
    private static partial Regex WordStart();
}
