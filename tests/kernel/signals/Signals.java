import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import sun.misc.Signal;

/**
 * A program whose runtime lives by signals: Signals SECONDS
 *
 * Accesses to null and divisions by zero are faults that the runtime turns into exceptions, also in
 * compiled code; stacks that overflow run into a guarded page; threads stop where a page is
 * protected; SIGUSR2 is sent and handled; SIGQUIT has all stacks printed.
 */
public class Signals {
    static final AtomicLong nulls = new AtomicLong(), divisions = new AtomicLong();
    static final AtomicLong overflows = new AtomicLong(), sent = new AtomicLong();
    static final AtomicLong handled = new AtomicLong(), collections = new AtomicLong();
    static final AtomicLong files = new AtomicLong();
    static volatile int sink;

    static class Node {
        int value;
        Node next;
    }

    interface Work {
        void once() throws Exception;
    }

    static int read(Node node) {
        return node.value;
    }

    static int divide(int by) {
        return 1000 / by;
    }

    static int deeper(int at) {
        return deeper(at + 1) + at;
    }

    static void threads(List<Thread> all, int count, long over, Work work) {
        for (int i = 0; i < count; i++) {
            Thread thread = new Thread(() -> {
                try {
                    while (System.nanoTime() < over) {
                        work.once();
                    }
                } catch (Exception e) {
                    throw new RuntimeException(e);
                }
            });
            all.add(thread);
            thread.start();
        }
    }

    public static void main(String[] arguments) throws Exception {
        long over = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000_000L;
        long pid = ProcessHandle.current().pid();
        Signal.handle(new Signal("USR2"), signal -> handled.incrementAndGet());
        List<Thread> all = new ArrayList<>();
        threads(all, 2, over, () -> {
            // Mostly there, so that compiled code goes without a test for null.
            Node node = new Node();
            for (int i = 0; i < 20_000; i++) {
                try {
                    sink += read(i % 1000 == 999 ? null : node);
                } catch (NullPointerException e) {
                    nulls.incrementAndGet();
                }
                try {
                    sink += divide(i % 1000);
                } catch (ArithmeticException e) {
                    divisions.incrementAndGet();
                }
            }
        });
        threads(all, 1, over, () -> {
            try {
                sink += deeper(0);
            } catch (StackOverflowError e) {
                overflows.incrementAndGet();
            }
        });
        threads(all, 1, over, () -> {
            Signal.raise(new Signal("USR2"));
            sent.incrementAndGet();
        });
        threads(all, 1, over, () -> {
            System.gc();
            collections.incrementAndGet();
            Thread.sleep(5);
        });
        threads(all, 1, over, () -> {
            Files.readAllBytes(Path.of("/proc/self/stat"));
            files.incrementAndGet();
        });
        threads(all, 1, over, () -> {
            new ProcessBuilder("/bin/kill", "-QUIT", Long.toString(pid)).start().waitFor();
            Thread.sleep(500);
        });
        for (Thread thread : all) {
            thread.join();
        }
        System.err.printf(
            "%d nulls, %d divisions, %d overflows, %d signals sent, %d handled, %d collections, %d files%n",
            nulls.get(), divisions.get(), overflows.get(), sent.get(), handled.get(),
            collections.get(), files.get());
    }
}
